"""Rows turned into the files of a data-set repository, in the layouts that ``datasets`` finds its way in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import yaml

Rows = Sequence[Mapping[str, Any]]
Suffix = Literal["parquet", "jsonl", "csv", "tsv"]


def encode_rows(rows: Rows, suffix: Suffix = "parquet") -> bytes:
    """The rows as the content of one file; the first row names the columns of csv and tsv."""
    if suffix == "parquet":
        import pyarrow
        import pyarrow.parquet

        sink = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(x) for x in rows]), sink)
        return sink.getvalue()
    if suffix == "jsonl":
        return "".join(json.dumps(dict(x), ensure_ascii=False) + "\n" for x in rows).encode()
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(rows[0]), dialect="excel-tab" if suffix == "tsv" else "excel", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def dataset_files(
    configs: Mapping[str, Mapping[str, Rows]],
    suffix: Suffix = "parquet",
    *,
    card: bool = True,
    path: str = "{config}/{split}-00000-of-00001.{suffix}",
) -> dict[str, bytes]:
    """Files of a data set from ``{config: {split: rows}}``, by their path in the repository.

    With ``card``, README.md names the files of each config in its YAML header, as most data sets on the hub do.
    Without, ``datasets`` finds the splits by their file names in ``data/``; that layout holds one config, which it
    calls ``default``. ``path`` is the file name pattern where there is a card.
    """
    if not card:
        if list(configs) != ["default"]:
            raise ValueError(f"a data set without a card has the one config 'default', not {sorted(configs)}")
        path = "data/{split}-00000-of-00001.{suffix}"
    files: dict[str, bytes] = {}
    header: list[dict[str, Any]] = []
    for config, splits in configs.items():
        named = {split: path.format(config=config, split=split, suffix=suffix) for split in splits}
        files |= {named[split]: encode_rows(rows, suffix) for split, rows in splits.items()}
        entries = [{"split": split, "path": file} for split, file in named.items()]
        header.append({"config_name": config, "data_files": entries})
    if card:
        files["README.md"] = f"---\n{yaml.safe_dump({'configs': header}, sort_keys=False)}---\n# A data set\n".encode()
    return files
