"""Sampling: N answers per prompt, from the current policy or from another one (off-policy)."""

from __future__ import annotations

from collections.abc import Sequence

from ...harness.api.answerer import Answerer
from ...harness.api.records import GenerationRequest, Response
from ...harness.errors import ModelError
from ...harness.run.cells import LoadedBase
from ...harness.run.plan import resolve_system
from ...harness.run.progress import Progress
from ...harness.store.fingerprint import seed_for
from ...harness.text.answers import Answer
from ..config import SampleConfig, TrainConfig
from ..records import Candidate, Prompt
from .folder import Say, Stage, TrainingDirectory
from .prompts import prompts_digest


def sample(config: TrainConfig, prompts: Sequence[Prompt], stage: Stage, progress: Progress, say: Say) -> None:
    """Answers all prompts ``config.sample.n`` times; an answer depends on its own seed alone, and is kept once given.

    Gold answers, where prompts have one, are candidates too (``kind`` gold); the pair stage says what becomes of them.
    Raises ModelError, StoreError, and for a server ServerError and BudgetSpent; what its calls cost is in
    ``ledger.jsonl`` of the training run.
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
    base = LoadedBase([system], TrainingDirectory.of(config).ledger, say)
    log = stage.log("answers")
    try:
        answerer = Answerer(
            base.engine(system), log, system.config.chat_template, {}, progress.answers, system.config.truncate
        )
        progress.begin(f"sample · {system.name}")
        answers = answerer.generate(_requests(config.sample, prompts, answerer, config.seed))
        if answerer.cut:
            say(f"sample: {answerer.cut}.")
        progress.end()
    finally:
        log.close()
        base.close()
    rows = _candidates(prompts, answers, config.sample.n, system.name)
    info = {"policy": system.name, "on_policy": config.sample.policy is None}
    stage.finish(Candidate, rows, info, prompts=(Prompt, prompts))


def _requests(
    settings: SampleConfig, prompts: Sequence[Prompt], answerer: Answerer, seed: int
) -> list[GenerationRequest]:
    sampling = settings.model_dump(include={"temperature", "top_p", "top_k", "max_new_tokens"})
    return [
        GenerationRequest(
            item_id=x.prompt_id,
            index=number,
            prompt=text,
            seed=seed_for(seed, x.prompt_id, number),
            **sampling,
        )
        for x in prompts
        for text in [_shown(x, answerer)]
        for number in range(settings.n)
    ]


def _shown(prompt: Prompt, answerer: Answerer) -> str:
    """The prompt by the chat template. Raises ModelError, which names the prompt, if the template fails."""
    try:
        return answerer.prompt(prompt.prompt)
    except ModelError as error:
        raise ModelError(f"prompt {prompt.prompt_id!r}: {error}") from error


def _candidates(prompts: Sequence[Prompt], answers: Sequence[Response], n: int, policy: str) -> list[Candidate]:
    rows: list[Candidate] = []
    for place, x in enumerate(prompts):
        for number, answer in enumerate(answers[place * n : (place + 1) * n]):
            text = (answer.text or "").strip()
            kept = (x.prompt_id, x.source_id, x.language, number, text, answer.finish_reason)
            in_language = Answer(x.prompt_id, text).is_in(x.language)
            rows.append(Candidate(*kept, kind="generation", policy=policy, in_language=in_language))
        if x.gold is not None:
            kept = (x.prompt_id, x.source_id, x.language, n, x.gold, "stop")
            in_language = Answer(x.prompt_id, x.gold).is_in(x.language)
            rows.append(Candidate(*kept, kind="gold", policy="gold", in_language=in_language))
    return rows
