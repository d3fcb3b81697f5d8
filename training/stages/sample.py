"""Sampling: N answers per prompt, from the current policy or from another one (off-policy)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...harness import registry
from ...harness.fingerprint import digest
from ...harness.models import check_adapter, find_model
from ...harness.plan import System
from ...harness.progress import Progress
from ...harness.records import GenerationRequest, Response
from ...harness.suites import Answerer
from ..config import SampleConfig, TrainConfig
from ..records import Candidate, Prompt
from .folder import Stage
from .prompts import prompts_digest

Say = Callable[[str], None]


def sample(config: TrainConfig, prompts: Sequence[Prompt], stage: Stage, progress: Progress, say: Say) -> None:
    """Answers all prompts ``config.sample.n`` times; an answer depends on its own seed alone, and is kept once given.

    Gold answers, where prompts have one, are candidates too (``kind`` gold); the pair stage says what becomes of them.
    Raises ModelError, StoreError.
    """
    system = resolve_system(config.sample.policy or config.policy)
    fingerprint = {
        **{f"policy.{k}": v for k, v in system.identity.items()},
        **config.sample.model_dump(mode="json", exclude={"policy"}),
        "seed": config.seed,
        "prompts": prompts_digest(list(prompts)),
    }
    if stage.enter(fingerprint):
        return
    adapter = None if system.adapter is None else system.adapter.path
    backend = registry.load("backends", system.config.backend)(system.spec, say)
    log = stage.log("answers")
    try:
        engine = backend.engine(None if adapter is None else _path(adapter))
        answerer = Answerer(engine, log, system.config.chat_template, {}, progress.answers)
        progress.begin(f"sample · {system.name}")
        answers = answerer.generate(_requests(config.sample, prompts, answerer, config.seed))
        progress.end()
    finally:
        log.close()
        backend.close()
    rows = _candidates(prompts, answers, config.sample.n, system.name)
    stage.finish(Candidate, rows, {"policy": system.name, "on_policy": config.sample.policy is None})


def resolve_system(config: Any) -> System:
    """A system with its weights identified. Raises ModelError, UserError."""
    registry.check("backends", config.backend)
    base = find_model(config.model, config.revision)
    adapter = find_model(config.adapter) if config.adapter else None
    if adapter:
        check_adapter(adapter, base, config.allow_base_mismatch)
    return System(config, base, adapter)


def _path(folder: str):
    from pathlib import Path

    return Path(folder)


def _requests(
    settings: SampleConfig, prompts: Sequence[Prompt], answerer: Answerer, seed: int
) -> list[GenerationRequest]:
    sampling = settings.model_dump(include={"temperature", "top_p", "top_k", "max_new_tokens"})
    return [
        GenerationRequest(
            item_id=x.prompt_id,
            index=number,
            prompt=text,
            seed=int(digest([seed, x.prompt_id, number]), 16) % 2**63,
            **sampling,
        )
        for x in prompts
        for text in [answerer.prompt(x.prompt)]
        for number in range(settings.n)
    ]


def _candidates(prompts: Sequence[Prompt], answers: Sequence[Response], n: int, policy: str) -> list[Candidate]:
    rows: list[Candidate] = []
    for place, x in enumerate(prompts):
        for number, answer in enumerate(answers[place * n : (place + 1) * n]):
            text = (answer.text or "").strip()
            kept = (x.prompt_id, x.source_id, x.language, number, text, answer.finish_reason)
            rows.append(Candidate(*kept, kind="generation", policy=policy))
        if x.gold is not None:
            rows.append(Candidate(x.prompt_id, x.source_id, x.language, n, x.gold, "stop", "gold", "gold"))
    return rows
