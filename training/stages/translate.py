"""Translation: English prompts into the languages of the run, each translation checked before it is kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...harness.api.answerer import Answerer
from ...harness.api.records import GenerationRequest
from ...harness.errors import DataError, ModelError
from ...harness.run.cells import LoadedBase
from ...harness.run.plan import System, resolve_system
from ...harness.run.progress import Progress
from ...harness.store.fingerprint import digest, seed_for
from ..config import TrainConfig, TranslateConfig
from ..records import Prompt, Translation
from . import translation_checks as checks
from .folder import Say, Stage, TrainingDirectory
from .prompts import prompts_digest, read_prompts
from .translation_checks import Checked, Limits, check
from .translation_request import TEMPLATE, ask

_ENGLISH_ALONE = ("facts", "ordered")
_WARMTH = 0.7
"""Temperature at which a translation that was dropped is asked for again: a greedy one would come again."""


@dataclass(frozen=True)
class LanguageCount:
    """What became of the prompts of one language. ``uncertain``: kept, but too short or mixed to tell its language."""

    language: str
    prompts: int
    kept: int
    uncertain: int
    dropped: dict[str, int]


def translate(config: TrainConfig, progress: Progress, say: Say) -> list[LanguageCount]:
    """Translates the English prompts of ``config.translate``: a stage of its own for each language, so that languages
    may come and go. Each is sealed with the prompts that were dropped, and why.

    A prompt that is dropped in one language stays in the others; English wordings are taken as they are. Answers are
    kept as they come. Raises DataError if there is nothing to translate, ModelError, StoreError, and for a server
    ServerError and BudgetSpent.
    """
    settings = config.translate
    if settings is None:
        raise ValueError("the config has no translate section")
    system = resolve_system(settings.translator)
    sources = read_prompts(settings.source, "en", config.seed)
    if not sources:
        raise DataError("there are no English prompts to translate.")
    fingerprint = _fingerprint(settings, system, sources, config.seed)
    directory = TrainingDirectory.of(config)
    stages = {code: directory.translated(code) for code in config.languages}
    base = LoadedBase([system], directory.ledger, say)
    try:
        for code, stage in stages.items():
            if not stage.enter(fingerprint):
                progress.begin(f"translate · {code}")
                _translate_into(code, sources, settings, base, system, stage, progress, config.seed)
        progress.end()
    finally:
        base.close()
    return [_count(code, stage.read(Translation)) for code, stage in stages.items()]


def _translate_into(
    code: str, sources: Sequence[Prompt], settings: TranslateConfig, base: LoadedBase, system: System, stage: Stage,
    progress: Progress, seed: int,
) -> None:  # fmt: skip
    """Every source in one language, in the order of the sources."""
    done: dict[str, tuple[Checked, int]] = {}
    if code != "en":
        log = stage.log("answers")
        try:
            answerer = Answerer(
                base.engine(system), log, system.config.chat_template, {}, progress.answers, system.config.truncate
            )
            fitting = [x for x in sources if len(x.prompt) <= settings.max_characters]
            done = _rounds(fitting, code, settings, answerer, seed)
        finally:
            log.close()
    rows = [_row(x, code, done.get(x.source_id), settings) for x in sources]
    stage.finish(Translation, rows, {"translator": system.name, "dropped": _count(code, rows).dropped})


def _count(language: str, rows: Sequence[Translation]) -> LanguageCount:
    kept = [x for x in rows if x.dropped is None]
    dropped = Counter(x.dropped for x in rows if x.dropped is not None)
    return LanguageCount(language, len(rows), len(kept), sum(x.in_language is None for x in kept), dict(dropped))


def _fingerprint(settings: TranslateConfig, system: System, sources: Sequence[Prompt], seed: int) -> dict[str, Any]:
    return {
        **{f"translator.{k}": v for k, v in system.identity.items()},
        **settings.model_dump(mode="json", exclude={"source", "translator", "template"}),
        "template": digest(settings.template or TEMPLATE),
        "checks": checks.VERSION,
        "seed": seed,
        "prompts": prompts_digest(list(sources)),
    }


def _rounds(
    sources: Sequence[Prompt], code: str, settings: TranslateConfig, answerer: Answerer, seed: int
) -> dict[str, tuple[Checked, int]]:
    """The last answer for each source id and how often it was asked for; those that are dropped are asked again."""
    limits = Limits(settings.min_ratio, settings.max_ratio)
    done: dict[str, tuple[Checked, int]] = {}
    still = list(sources)
    for attempt in range(settings.attempts):
        if not still:
            break
        responses = answerer.generate(list(_requests(still, code, attempt, settings, answerer, seed)))
        for source, response in zip(still, responses, strict=True):
            done[source.source_id] = check(source.prompt, response, code, limits), attempt + 1
        still = [x for x in still if done[x.source_id][0].dropped]
    return done


def _requests(
    sources: Sequence[Prompt], code: str, attempt: int, settings: TranslateConfig, answerer: Answerer, seed: int
) -> Iterator[GenerationRequest]:
    generation = settings.translator.generation
    warm = {"temperature": max(generation.temperature, _WARMTH)} if attempt else {}
    sampling = {**generation.model_dump(), "stop": tuple(generation.stop), **warm}
    for source in sources:
        item_id = f"{source.source_id}/{code}"
        try:
            prompt = answerer.prompt(ask(source.prompt, code, settings.template))
        except ModelError as error:
            raise ModelError(f"prompt {source.prompt_id!r}: {error}") from error
        drawn = seed_for(seed, item_id, attempt)
        yield GenerationRequest(item_id, attempt, prompt, seed=drawn, **sampling)


def _row(source: Prompt, code: str, done: tuple[Checked, int] | None, settings: TranslateConfig) -> Translation:
    key = f"{source.source_id}/{code}", source.source_id, code, source.prompt
    if len(source.prompt) > settings.max_characters:
        return Translation(*key, None, f"its English wording is longer than {settings.max_characters:,} characters")
    if done is None:
        own = {"in_language": True, "gold": source.gold, "metadata": source.metadata}
        return Translation(*key, source.prompt, None, source.prompt, **own)
    checked, asked = done
    kept = checked.text if checked.dropped is None else None
    told = {"in_language": checked.in_language, "attempts": asked, "metadata": _without_facts(source.metadata)}
    return Translation(*key, kept, checked.dropped, checked.text, **told)


def _without_facts(metadata: str) -> str:
    """Metadata of a prompt less what is known of a good answer in English."""
    return json.dumps({k: v for k, v in json.loads(metadata).items() if k not in _ENGLISH_ALONE}, ensure_ascii=False)
