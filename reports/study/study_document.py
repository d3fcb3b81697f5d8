"""The study's report: every sentence in it is made from the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...harness.text.languages import LANGUAGES
from ..document.document import Block, Document, Listing, Picture, Section, TextTable
from ..document.numbers import number, signed, whole, within
from ..records.rules import Rules
from ..records.run_data import Frame
from .claims import Claim
from .findings import Evidence, Finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class StudyTables:
    """What the report shows."""

    findings: list[Finding]
    arms: Frame
    training: Frame
    forgetting: Frame
    evidence: Evidence


def study_document(tables: StudyTables, manifest: Mapping[str, Any], rules: Rules, command: str) -> Document:
    """Findings first, then what they rest on."""
    sections = [
        _short(tables, manifest),
        *(_of_finding(i, x) for i, x in enumerate(tables.findings, 1)),
        _arms(tables),
        _forgetting(tables),
        _training(tables),
        _how(tables, manifest, rules, command),
    ]
    return Document("The study in miniature", tuple(sections))


def _short(tables: StudyTables, manifest: Mapping[str, Any]) -> Section:
    rows = tuple((str(i), x.title, str(x.answer)) for i, x in enumerate(tables.findings, 1))
    arms = ", ".join(f"{k} ({len(v)} seed{'' if len(v) == 1 else 's'})" for k, v in tables.evidence.arms.items())
    text = (
        f"Which findings of the CroCo study (arXiv 2605.26293) are seen again at this size? Arms: {arms}; evaluated in "
        f"{len(manifest['languages'])} languages. A finding that is not seen again is a result about this model, not "
        "about the study."
    )
    return Section("Findings", (text, TextTable("", ("", "finding", "here"), rows, 2)))


def _of_finding(position: int, finding: Finding) -> Section:
    blocks: list[Block] = [f"{finding.rule} Here: {finding.answer}."]
    if finding.claims:
        blocks.append(Listing(tuple(map(claim_sentence, finding.claims))))
    if finding.rankings:
        rows = tuple(
            (
                LANGUAGES[x.language].name,
                whole(x.accuracy.n),
                within(x.accuracy.value, x.accuracy.ci_low, x.accuracy.ci_high),
            )
            for x in finding.rankings
        )
        caption = "Share of pairs of one prompt that the reward orders as the known scores do (chance: 0.5)"
        blocks.append(TextTable(caption, ("language", "prompts", "accuracy"), rows))
    elif not finding.claims:
        blocks.append("There are no rewards beside known scores to tell from.")
    return Section(f"{position}. {finding.title}", tuple(blocks))


def claim_sentence(claim: Claim) -> str:
    """A claim with its numbers, seed by seed."""
    n = len(claim.answers)
    if not n:
        return f"{claim.text}: can't be told, for want of these arms."
    x = claim.spread
    seeds = f"standard deviation between {n} seeds {number(x.seed_sd)}" if not isnan(x.seed_sd) else "one seed"
    each = "; ".join(_of_seed(row, str(answer)) for row, answer in zip(_rows(claim), claim.answers, strict=True))
    mean = signed(x.mean) or "no difference known"
    return (
        f"{claim.text}: {claim.answer}. Mean {mean} ({seeds}, standard error over items {number(x.item_se)}). {each}."
    )


def _rows(claim: Claim) -> Iterator[Any]:
    return claim.rows.itertuples()


def _of_seed(row: Any, answer: str) -> str:
    if not row.n:
        return f"{row.candidate}: not compared"
    shown = within(row.difference, row.ci_low, row.ci_high, sign=True)
    return f"{row.candidate} against {row.reference} {shown}, {row.verdict}: {answer}"


def _arms(tables: StudyTables) -> Section:
    blocks: list[Block] = [
        "Difference to the base in the mean over the seeds; in brackets the standard deviation between seeds, then the "
        "standard error over items. Below it the verdicts of the seeds."
    ]
    for (suite, metric), part in tables.arms.groupby(["suite", "metric"], sort=False):
        languages = list(dict.fromkeys(part["language"]))
        rows = []
        for arm, of in part.groupby("arm", sort=False):
            cells = {x.language: _spread(x) for x in of.itertuples()}
            verdicts = {x.language: x.verdicts for x in of.itertuples()}
            rows.append((str(arm), *(cells.get(x, "") for x in languages), verdicts.get(languages[-1], "")))
        columns = ("arm", *languages, f"verdicts, {languages[-1]}")
        blocks.append(TextTable(f"{suite}: {metric}", columns, tuple(rows)))
    if pictured := _pictured(tables.evidence):
        caption = "Every arm and seed against the base, over all languages"
        blocks.append(Picture("seeds", caption, lambda: _draw_seeds(pictured, tables.evidence)))
    return Section("Every arm against the base", tuple(blocks))


def _pictured(evidence: Evidence) -> dict[str, Frame]:
    """The comparisons of all arms with the base, by what they are told as."""
    found = {
        x.name: pd.concat([evidence.against_base(arm, x) for arm in evidence.arms])
        for x in (evidence.structured, evidence.open_ended)
    }
    return {title: table for title, table in found.items() if len(table)}


def _draw_seeds(tables: dict[str, Frame], evidence: Evidence) -> Figure:
    from ..figures import seeds_figure

    return seeds_figure(tables, evidence.arms)


def _spread(x: Any) -> str:
    return f"{signed(x.mean)} ({number(x.seed_sd) or '-'}, {number(x.item_se) or '-'})"


def _forgetting(tables: StudyTables) -> Section:
    rows = tuple(
        (x.arm, x.language.replace("_", " "), number(x.forgotten), number(x.gained))
        for x in tables.forgetting.itertuples()
    )
    caption = "Shares of the structured items that went from right to wrong and from wrong to right, mean over seeds"
    return Section("Forgotten and gained", (TextTable(caption, ("arm", "languages", "forgotten", "gained"), rows, 2),))


_SHOWN = {
    "loss": "loss",
    "reward_accuracy": "reward accuracy",
    "reward_margin": "margin",
    "reward": "reward",
    "kl": "KL",
}


def _training(tables: StudyTables) -> Section:
    shown = [x for x in _SHOWN if x in tables.training]
    rows = tuple(
        (
            *(x["arm"], str(x["seed"]), whole(x["rows"]), whole(x["steps"])),
            *(number(float(x[c])) for c in shown),
            _ordered(x),
        )
        for x in tables.training.to_dict("records")
    )
    learned = (
        "Answers ordered: of pairs of answers that the base gave to one prompt, before any tuning, the share that the "
        "tuned model's log-ratio to the base orders as the arm's reward does, with its 95% interval. Chance is 0.5. "
        "The other columns are the last fifth of each training log in the mean; KL is in nats per token to the base."
    )
    accuracy = (
        "Reward accuracy is the trainer's own: the share of its pairs whose chosen answer gained on the rejected one. "
        "Where pairs come more than once it is of pairs learnt before; in an online arm it is of new answers of a "
        "policy that moves, which it need not order any better than at the start."
    )
    columns = ("arm", "seed", "rows", "steps", *(_SHOWN[x] for x in shown), "answers ordered")
    return Section("Did the arms learn?", (learned, accuracy, TextTable("", columns, rows, 2)))


def _ordered(row: Mapping[str, Any]) -> str:
    value, low, high = (float(row.get(x, nan)) for x in ("ordered", "ordered_low", "ordered_high"))
    return within(value, low, high)


def _how(tables: StudyTables, manifest: Mapping[str, Any], rules: Rules, command: str) -> Section:
    e = tables.evidence
    margins = ", ".join(f"{x.name} {rules.margin_of(x.suite):g}" for x in (e.structured, e.open_ended))
    items = (
        f"Made by {command} (croco-eval {manifest.get('croco_eval', 'unknown')}).",
        f"Tests and intervals are those of comparisons.csv over all languages, at alpha {rules.alpha:g}, corrected by "
        f"{rules.correction} in each system's family; margins: {margins}. Arms are compared with each other directly, "
        "seed by seed, never by their p-values against the base.",
        "A claim holds if it holds for every seed, and doesn't if it fails for every seed; else it can't be told. "
        "'Better' holds if a gain is significant and fails if a loss is, or if the 95% interval leaves out a gain as "
        "large as the margin. 'Not worse' holds if the verdict is improved or matched and fails if it is forgot. "
        "'No better' holds if the 95% interval leaves out a gain as large as the margin, and fails if a gain is "
        "significant.",
        "Items and seeds are two sources of chance: an interval over items says nothing of another seed, so both "
        "spreads are shown. All seeds of an arm share its candidates, rewards and pairs.",
    )
    return Section("How this was decided", (Listing(items),))
