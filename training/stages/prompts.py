"""Training prompts: from a packaged corpus, or from parallel files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...harness import registry
from ...harness.errors import DataError
from ...harness.fingerprint import digest
from ..config import TrainConfig
from ..records import Prompt


def load_prompts(config: TrainConfig) -> list[Prompt]:
    """The prompts of all languages, in the order of the config's languages. Raises DataError."""
    found: list[Prompt] = []
    for language in config.languages:
        rows = list(_from_corpus(config, language) if config.prompts.corpus else _from_file(config, language))
        if not rows:
            raise DataError(f"no training prompts in language {language!r}.")
        found += rows[: config.prompts.limit]
    return found


def prompts_digest(prompts: list[Prompt]) -> str:
    """Identifies the prompts' content."""
    return digest([(x.prompt_id, x.source_id, x.prompt, x.gold, x.metadata) for x in prompts])


def _from_corpus(config: TrainConfig, language: str) -> Iterator[Prompt]:
    corpus = registry.load("corpora", config.prompts.corpus or "")()
    for item, gold in corpus.tuning_prompts(language, config.seed):
        yield Prompt(item.item_id, item.source_id, language, item.prompt, gold, item.metadata)


def _from_file(config: TrainConfig, language: str) -> Iterator[Prompt]:
    path = Path((config.prompts.files or "").replace("{language}", language))
    for number, row in enumerate(_rows(path)):
        text = _text_of(row)
        if not text:
            raise DataError(f"{path}, row {number + 1}: no prompt; a row needs `prompt` or `messages`.")
        source = str(row.get("source_id") or number)
        metadata = row.get("metadata") or "{}"
        yield Prompt(
            prompt_id=f"{source}/{language}",
            source_id=source,
            language=language,
            prompt=text,
            gold=row.get("gold"),
            metadata=metadata if isinstance(metadata, str) else json.dumps(metadata, ensure_ascii=False),
        )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            yield from pq.read_table(path).to_pylist()
        else:
            with path.open(encoding="utf-8") as file:
                yield from (json.loads(line) for line in file if line.strip())
    except FileNotFoundError:
        raise DataError(f"prompt file {path} is not there.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"prompt file {path} can't be read: {error}.") from error


def _text_of(row: dict[str, Any]) -> str | None:
    if isinstance(row.get("prompt"), str):
        return row["prompt"].strip()
    messages = row.get("messages") or []
    return next((x["content"].strip() for x in messages if x.get("role") == "user"), None)
