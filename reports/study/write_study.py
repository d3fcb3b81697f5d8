"""The study's findings from a run whose systems are arms of one training: ``study.md`` and its tables. No model.

``findings.csv``: one row per claim and seed. ``arms.csv``: each arm against the base, with the spread between seeds
beside the one over items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...harness.errors import UserError
from ..document.write import write_document
from ..records.rules import Rules
from ..records.run_data import Frame, RunData
from ..tables.comparisons import comparison_table
from ..tables.csv_files import write_csv
from ..tables.reward_ranking import ranking_quality
from .claims import Spread, spread_of
from .findings import Evidence, Finding, Measure, findings
from .rankings import language_rankings
from .study_document import StudyTables, study_document

CONTRASTS = (("mono", "sft"), ("mono", "off-policy"), ("online", "mono"))
"""Arms that the findings test against each other, seed by seed."""


def write_study(
    run: Path,
    out: Path,
    *,
    arms: Mapping[str, Sequence[str]],
    logs: Sequence[Mapping[str, Any]],
    learned: Frame | None,
    candidates: Frame | None,
    command: str,
) -> Path:
    """Writes ``study.md`` with its figure, ``findings.csv``, ``arms.csv`` and ``training.csv`` into ``out``; gives the
    first's path.

    ``run``: a run directory with its tables. ``arms``: arm -> its systems there, one per seed. ``logs``: how each
    training went, with ``arm`` and ``seed``. ``learned``: answers of the base with ``arm``, ``seed``, ``prompt_id``,
    ``source_id``, ``log_ratio`` of the tuned model to the base, and ``reward``. ``candidates``: as
    ``language_rankings`` takes them. Raises UserError for a run without exactly one structured and one judged suite,
    StoreError for a folder that is no run.
    """
    data = RunData(run)
    rules = data.settings.rules
    base = data.manifest["reference"]
    of_base = pd.read_csv(run / "comparisons.csv")
    pairs = [
        x for a, b in CONTRASTS for x in zip(arms.get(a, ()), arms.get(b, ()), strict=False) if a in arms and b in arms
    ]
    between = comparison_table(data, rules, pairs) if pairs else of_base.head(0)
    whole = _widest(pd.concat([of_base, between], ignore_index=True))
    evidence = Evidence(whole, arms, base, *_measures(data))
    found = findings(evidence, language_rankings(candidates, rules), rules)
    tables = StudyTables(
        found, arm_table(of_base, arms, base), training_table(logs, learned, rules), _forgetting(run, arms), evidence
    )
    write_csv(out / "findings.csv", claim_table(found))
    write_csv(out / "arms.csv", tables.arms)
    write_csv(out / "training.csv", tables.training)
    return write_document(study_document(tables, data.manifest, rules, command), out / "study.md")


def _measures(data: RunData) -> tuple[Measure, Measure]:
    """The structured suite's and the judged one's."""
    suites = data.manifest["suites"]
    structured = [x for x, facts in suites.items() if facts["kind"] == "structured"]
    judged = [x for x, facts in suites.items() if facts["kind"] != "structured"]
    judges = list(data.manifest["judges"])
    if len(structured) != 1 or len(judged) != 1 or not judges:
        raise UserError("a study is evaluated on one structured suite and one open-ended one, with a judge.")
    return Measure(structured[0], "score"), Measure(judged[0], f"win_rate[{judges[0]}]")


def _widest(table: Frame) -> Frame:
    """The rows over all languages; of a run in one language, its own."""
    return table[table["scope"].eq("all")] if table["scope"].eq("all").any() else table


def arm_table(comparisons: Frame, arms: Mapping[str, Sequence[str]], base: str) -> Frame:
    """Each arm against the base: a row per suite, metric and pooled scope (each language if there is but one), with
    the spread over the arm's seeds and the verdicts of its seeds in their order."""
    pooled = comparisons[comparisons["scope"].ne("language")]
    table = pooled if len(pooled) else comparisons
    rows = []
    for arm, systems in arms.items():
        part = table[table["candidate"].isin(systems) & table["reference"].eq(base)]
        for (suite, metric, language), of in part.groupby(["suite", "metric", "language"], sort=False):
            of = of.set_index("candidate").reindex([x for x in systems if x in set(of["candidate"])])
            verdicts = " ".join(of["verdict"])
            rows.append((arm, suite, metric, language, len(of), *vars(spread_of(of)).values(), verdicts))
    columns = ["arm", "suite", "metric", "language", "seeds", *Spread.__dataclass_fields__, "verdicts"]
    return pd.DataFrame(rows, columns=columns)


def training_table(logs: Sequence[Mapping[str, Any]], learned: Frame | None, rules: Rules) -> Frame:
    """How each training went, and ``ordered`` (with ``ordered_low`` and ``ordered_high``): the share of pairs of the
    base's answers to one prompt that the tuned model's log-ratio orders as their rewards do; 0.5 is chance."""
    rows = []
    for log in logs:
        part = learned if learned is None else learned[learned["arm"].eq(log["arm"]) & learned["seed"].eq(log["seed"])]
        found: dict[str, float] = {}
        if part is not None and len(part):
            columns = (part[x] for x in ("log_ratio", "reward", "prompt_id", "source_id"))
            share = ranking_quality(*columns, n_resamples=rules.n_resamples, seed=rules.seed).accuracy
            found = {"ordered": share.value, "ordered_low": share.ci_low, "ordered_high": share.ci_high}
        rows.append({**log, **found})
    return pd.DataFrame(rows)


def claim_table(found: Sequence[Finding]) -> Frame:
    """What each finding rests on: one row per claim and seed, and one per language for the rankings."""
    columns = [
        *("finding", "finding_answer", "claim", "candidate", "reference", "n", "difference", "ci_low", "ci_high"),
        *("p_adjusted", "margin", "mde", "verdict", "answer"),
    ]
    rows: list[dict[str, Any]] = []
    for x in found:
        whole = {"finding": x.title, "finding_answer": str(x.answer)}
        for y in x.rankings:
            e = y.accuracy
            numbers = {"n": e.n, "difference": e.value - 0.5, "ci_low": e.ci_low - 0.5, "ci_high": e.ci_high - 0.5}
            rows.append({**whole, "claim": f"ranking accuracy in {y.language} less one half", **numbers})
        for claim in x.claims:
            kept = claim.rows[[c for c in columns if c in claim.rows]]
            for row, answer in zip(kept.to_dict("records"), claim.answers, strict=True):
                rows.append({**whole, "claim": claim.text, **row, "answer": str(answer)})
    return pd.DataFrame(rows, columns=columns)


def _forgetting(run: Path, arms: Mapping[str, Sequence[str]]) -> Frame:
    """Shares of items that were forgotten and gained, mean over an arm's seeds, in tuned and never tuned languages."""
    table: Frame = pd.read_csv(run / "forgetting.csv")
    wanted: Frame = table[table["scope"].eq("tuning") & table["measure"].isin(["forgotten", "gained"])]
    family = {system: arm for arm, systems in arms.items() for system in systems}
    named: Frame = wanted.assign(arm=wanted["candidate"].map(family)).dropna(subset=["arm"])
    means: Frame = named.groupby(["arm", "language", "measure"], sort=False)["value"].mean()
    return means.unstack("measure").reset_index()
