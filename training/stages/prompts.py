"""Training prompts: from a packaged corpus, from parallel files, or from the translate stage."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...harness import registry
from ...harness.errors import DataError, UserError
from ...harness.store.fingerprint import digest
from ..config import CorpusPreferences, PromptsConfig, TrainConfig
from ..records import PreferencePair, Prompt, Translation
from .folder import TrainingDirectory


def load_prompts(config: TrainConfig) -> list[Prompt]:
    """The prompts of all languages, in the order of the config's languages.

    Raises DataError if a language has none, UserError if they are to come from a translate stage that is not done.
    """
    found: list[Prompt] = []
    for language in config.languages:
        if config.prompts is None:
            rows, why = _translated(config, language), ": all that the translate stage had were dropped"
        else:
            rows, why = read_prompts(config.prompts, language, config.seed), ""
        if not rows:
            raise DataError(f"no training prompts in language {language!r}{why}.")
        found += rows
    return found


def read_prompts(source: PromptsConfig, language: str, seed: int) -> list[Prompt]:
    """The prompts of a corpus or a file in one language. Raises DataError if two of them have the same id."""
    rows = list(_from_corpus(source.corpus, language, seed) if source.corpus else _from_file(source.files, language))
    rows = rows[: source.limit]
    if twice := [name for name, n in Counter(x.prompt_id for x in rows).items() if n > 1]:
        raise DataError(
            f"{len(twice)} ids stand for several prompts each in language {language!r} (first: {twice[0]!r})."
        )
    return rows


def _translated(config: TrainConfig, language: str) -> list[Prompt]:
    """What the translate stage has kept."""
    rows = TrainingDirectory.of(config).translated(language).read(Translation)
    return [
        Prompt(x.prompt_id, x.source_id, x.language, x.prompt, x.gold, x.metadata) for x in rows if x.prompt is not None
    ]


def prompts_digest(prompts: list[Prompt]) -> str:
    """Identifies the prompts' content."""
    return digest([(x.prompt_id, x.source_id, x.prompt, x.gold, x.metadata) for x in prompts])


def read_preference_pairs(source: str | CorpusPreferences | None, seed: int) -> list[PreferencePair]:
    """Preference pairs of a file or, drawn with the seed and in its order, of a corpus.

    Raises DataError for a file that is missing or wrong, UserError for no source or a corpus that has no preferences.
    """
    if source is None:
        raise UserError(
            "reward.preferences is missing: a JSONL or Parquet file with prompt, chosen and rejected, or a corpus."
        )
    if isinstance(source, str):
        return _preferences_of_file(Path(source))
    corpus = registry.load("corpora", source.corpus)()
    if not hasattr(corpus, "preferences"):
        raise UserError(f"corpus {source.corpus!r} has no preferences: name another corpus, or a file.")
    wanted = {} if source.flaws is None else {"flaws": source.flaws}
    pairs = corpus.preferences(source.language, seed, passes=source.passes, **wanted)
    rows = list(dict.fromkeys(PreferencePair(x.prompt, x.chosen, x.rejected) for x in pairs))
    random.Random(seed).shuffle(rows)
    return rows


def _preferences_of_file(path: Path) -> list[PreferencePair]:
    """Rows with ``prompt``, ``chosen`` and ``rejected``. Raises DataError."""
    found: list[PreferencePair] = []
    for number, row in enumerate(_rows(path)):
        values = [row.get(x) for x in ("prompt", "chosen", "rejected")]
        if not all(isinstance(x, str) and x.strip() for x in values):
            raise DataError(f"{path}, row {number + 1}: a preference needs the texts prompt, chosen and rejected.")
        if values[1] == values[2]:
            raise DataError(f"{path}, row {number + 1}: chosen and rejected are the same text.")
        found.append(PreferencePair(*map(str, values)))
    if not found:
        raise DataError(f"{path} holds no preferences.")
    return found


def _from_corpus(name: str, language: str, seed: int) -> Iterator[Prompt]:
    corpus = registry.load("corpora", name)()
    for item, gold in corpus.tuning_prompts(language, seed):
        yield Prompt(item.item_id, item.source_id, language, item.prompt, gold, item.metadata)


def _from_file(files: str | None, language: str) -> Iterator[Prompt]:
    path = Path((files or "").replace("{language}", language))
    for number, row in enumerate(_rows(path)):
        text = _text_of(row)
        if not text:
            raise DataError(f"{path}, row {number + 1}: no prompt; a row needs `prompt` or `messages`.")
        source = str(row.get("source_id") or number)
        yield Prompt(
            prompt_id=f"{source}/{language}",
            source_id=source,
            language=language,
            prompt=text,
            gold=row.get("gold"),
            metadata=_metadata(row.get("metadata"), f"{path}, row {number + 1}"),
        )


def _metadata(value: Any, where: str) -> str:
    """A mapping, or one as JSON, as JSON. Raises DataError for anything else."""
    try:
        found = json.loads(value) if isinstance(value, str) and value else value or {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{where}: metadata is neither a mapping nor one written as JSON.")
    return json.dumps(found, ensure_ascii=False)


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
