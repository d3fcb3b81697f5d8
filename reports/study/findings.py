"""The six findings of the CroCo study (arXiv 2605.26293), put as claims that a run's comparisons can answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..records.rules import Rules
from ..records.run_data import Frame
from .claims import Answer, Claim, all_of, any_of, better, no_better, not_worse
from .rankings import LanguageRanking, rankings_answer


@dataclass(frozen=True)
class Measure:
    """Where a claim is looked up: a suite and one of its metrics."""

    suite: str
    metric: str

    @property
    def name(self) -> str:
        """As people are told of it."""
        return self.suite if self.metric == "score" else f"{self.suite}, {self.metric}"


@dataclass(frozen=True)
class Finding:
    """One of the study's findings, and what this run says of it."""

    title: str
    rule: str
    answer: Answer
    claims: tuple[Claim, ...] = ()
    rankings: tuple[LanguageRanking, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """``comparisons``: rows as in ``comparisons.csv`` over all languages, of each arm and seed against the base and of
    the arms against each other, seed by seed. ``arms``: arm -> its systems, one per seed; ``base``: the reference."""

    comparisons: Frame
    arms: Mapping[str, Sequence[str]]
    base: str
    structured: Measure
    open_ended: Measure

    def against_base(self, arm: str, measure: Measure) -> Frame:
        """The rows of an arm's systems against the base; none for an arm that isn't there."""
        return self._rows([(x, self.base) for x in self.arms.get(arm, ())], measure)

    def against(self, arm: str, other: str, measure: Measure) -> Frame:
        """The rows of two arms against each other, first seed with first seed and so on."""
        pairs = zip(self.arms.get(arm, ()), self.arms.get(other, ()), strict=False)
        return self._rows(list(pairs), measure)

    def _rows(self, pairs: Sequence[tuple[str, str]], measure: Measure) -> Frame:
        t = self.comparisons
        of_measure = t[t["suite"].eq(measure.suite) & t["metric"].eq(measure.metric)]
        wanted = {x: i for i, x in enumerate(pairs)}
        places = [wanted.get(x) for x in zip(of_measure["candidate"], of_measure["reference"], strict=True)]
        found = of_measure.assign(_place=places)
        return found[found["_place"].notna()].sort_values("_place").drop(columns="_place")


def findings(evidence: Evidence, rankings: Sequence[LanguageRanking], rules: Rules) -> list[Finding]:
    """The study's findings in its order. An arm that isn't there leaves its claims open."""
    e, structured, talk = evidence, evidence.structured, evidence.open_ended
    gains = [
        better(f"{x} better than {e.base} in {talk.name}", e.against_base(x, talk), rules.alpha / 2)
        for x in ("mono", "multi")
    ]
    kept = [
        not_worse(f"{x} not worse than {e.base} in {structured.name}", e.against_base(x, structured))
        for x in ("mono", "multi")
    ]
    spared = better(f"mono better than sft in {structured.name}", e.against("mono", "sft", structured), rules.alpha)
    on_policy = better(
        f"mono better than off-policy in {talk.name}", e.against("mono", "off-policy", talk), rules.alpha
    )
    online = no_better(f"online no better than mono in {talk.name}", e.against("online", "mono", talk))
    return [
        Finding(
            "A reward model of English preferences ranks usefully within other languages",
            "Holds if pairs of one prompt are ordered better than by chance in every language but English; does not if "
            "they are ordered worse than by chance in one.",
            rankings_answer(rankings),
            rankings=tuple(rankings),
        ),
        Finding(
            "Preference tuning, mono or multi, beats the base",
            f"Two chances, so each is tested at {rules.alpha / 2:g}; one is enough.",
            any_of(x.answer for x in gains),
            tuple(gains),
        ),
        Finding(
            "It does not forget as SFT does",
            "Both: what could be lost is kept, and SFT is worse there in a direct test.",
            all_of((kept[0].answer, spared.answer)),
            (kept[0], spared),
        ),
        Finding("Off-policy pairs are worse", "A direct test of the two.", on_policy.answer, (on_policy,)),
        Finding("Online is no better than offline", "A direct test of the two.", online.answer, (online,)),
        Finding("Structured tasks are matched", "Both.", all_of(x.answer for x in kept), tuple(kept)),
    ]
