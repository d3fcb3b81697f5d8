"""In short, the leaderboard, and each system's scores by language."""

from __future__ import annotations

from collections.abc import Iterator

from ..document.document import Block, Listing, Section, TextTable, section
from ..document.numbers import number, whole, within
from ..items.item_values import SCORE
from ..items.scopes import WHOLE
from ..records.run_data import Frame
from ..tables.all import RunTables
from ..tables.comparisons import headlines
from .checkpoints import advice
from .missing import missing_sentence
from .systems import headlined_systems, left_out, only, shown_systems


def short_section(tables: RunTables) -> Section:
    """What the tests say in a sentence each, and what is missing."""
    data = tables.data
    reference = data.manifest["reference"]
    candidates = [x for x in data.systems if x != reference]
    about = f"Suites: {', '.join(data.suites)}. Languages: {', '.join(data.languages)}. "
    about += (
        f"{len(candidates)} candidates are compared with {reference}." if candidates else f"One system: {reference}."
    )
    blocks: list[Block] = [about.replace("1 candidates are", "1 candidate is")]
    if lines := _headlines(tables):
        blocks.append(Listing(tuple(lines)))
    if lines := advice(tables):
        blocks.append(Listing(tuple(lines)))
    blocks += [x for x in (missing_sentence(tables), left_out(tables)) if x]
    return Section("In short", tuple(blocks))


def _headlines(tables: RunTables) -> list[str]:
    """A sentence per shown candidate, suite and metric; those that were not compared at all share one."""
    table = tables.frames.get("comparisons.csv")
    if table is None:
        return []
    keys = ["candidate", "reference", "suite", "metric"]
    compared = table.groupby(keys)["n"].transform("max").gt(0)
    shown = headlined_systems(tables)
    lines = headlines(only(table[compared], shown))
    for (reference, suite, metric), part in only(table[~compared], shown).groupby(keys[1:], sort=False):
        where = suite if metric == SCORE else f"{suite}, {metric}"
        lines.append(f"Not compared with {reference} in {where}: {', '.join(part['candidate'].drop_duplicates())}.")
    return lines


def leaderboard_section(tables: RunTables) -> Section:
    """Ranks, letters and means; systems that share a letter can't be told apart."""
    table = tables.frames["leaderboard.csv"]
    means = [x for x in table if f"{x}.n" in table]
    rows = [
        (
            whole(x["rank"]) if x["mean_rank"] == x["mean_rank"] else "",
            f"{x['system']} (reference)" if x["is_reference"] else x["system"],
            within(x["mean_rank"], x["mean_rank_low"], x["mean_rank_high"], 2),
            x["letters"],
            *(within(x[y], x[f"{y}.ci_low"], x[f"{y}.ci_high"]) for y in means),
        )
        for x in table.to_dict("records")
    ]
    blocks: list[Block] = [
        "Rank 1 is best, by the mean rank over the columns (95% interval). Systems that share a letter can't be told "
        "apart on any suite over all languages. In win rates the reference stands at 0.5.",
        TextTable("", ("rank", "system", "mean rank", "letters", *means), tuple(rows), n_names=2),
    ]
    flagged = table[table["flags"].ne("")]
    if len(flagged):
        blocks.append(
            Listing(tuple(f"{x.system} is not ranked with the others: {x.flags}" for x in flagged.itertuples()))
        )
    return Section("Leaderboard", tuple(blocks))


def scores_section(tables: RunTables) -> Section | None:
    """Means and win rates with their intervals, languages down and systems across."""
    scores = tables.frames["scores.csv"]
    whole_rows = scores[scores["task"].eq(WHOLE) & scores["metric"].ne("gap")]
    return section("Scores", list(_score_tables(whole_rows, tables)))


def _score_tables(rows: Frame, tables: RunTables) -> Iterator[TextTable]:
    for (suite, metric), part in rows.groupby(["suite", "metric"], sort=False):
        systems = [x for x in shown_systems(tables) if part["system"].eq(x).any()]
        cells = {(x["language"], x["system"]): x for x in part.to_dict("records")}
        lines = []
        for language in dict.fromkeys(part["language"]):
            here = [cells.get((language, x)) for x in systems]
            known = [x for x in here if x]
            if known:
                counts = [f"{min(x['n'] for x in known)}", f"{max(x['n_unscored'] for x in known)}"]
                values = [within(x["value"], x["ci_low"], x["ci_high"]) if x else "missing" for x in here]
                lines.append((language, *values, *counts))
        caption = f"{suite}: mean score" if metric == SCORE else f"{suite}: {metric}"
        yield TextTable(caption, ("language", *systems, "least n", "most unscored"), tuple(lines))


def ratings_section(tables: RunTables) -> Section | None:
    """Bradley-Terry and Elo ratings over all languages."""
    if "ratings.csv" not in tables.frames:
        return None
    table = tables.frames["ratings.csv"]
    widest = [part for _, part in table.groupby(["judge", "suite"], sort=False)]
    blocks: list[Block] = ["Ratings with the reference at 1000; 400 points are odds of ten to one."]
    for part in widest:
        rows = part[part["language"].eq(part["language"].iloc[-1])].sort_values(
            "bradley_terry", ascending=False, kind="stable"
        )
        lines = [
            (
                x["system"],
                str(x["n"]),
                within(x["bradley_terry"], x["bradley_terry_ci_low"], x["bradley_terry_ci_high"], 0),
                within(x["elo"], x["elo_ci_low"], x["elo_ci_high"], 0),
            )
            for x in rows.to_dict("records")
        ]
        caption = f"{rows['suite'].iloc[0]}, judge {rows['judge'].iloc[0]}, {rows['language'].iloc[0]}"
        blocks.append(TextTable(caption, ("system", "n", "Bradley-Terry", "Elo"), tuple(lines)))
    return Section("Ratings", tuple(blocks))


def off_target_section(tables: RunTables) -> Section | None:
    """Answers in another language than asked."""
    table = tables.frames["off_target.csv"]
    shown = [x for x in shown_systems(tables) if table["system"].eq(x).any()]
    blocks: list[Block] = []
    for suite, part in table[table["system"].isin(shown)].groupby("suite", sort=False):
        cells = {(x["language"], x["system"]): x for x in part.to_dict("records")}
        lines = [
            (language, *(_off_target(cells.get((language, x))) for x in shown))
            for language in dict.fromkeys(part["language"])
        ]
        blocks.append(
            TextTable(
                f"{suite}: answers in another language, of those that can be told", ("language", *shown), tuple(lines)
            )
        )
    return section("Off-target answers", blocks)


def _off_target(x: dict | None) -> str:
    if x is None:
        return "missing"
    most = f", most {x['wrong_language']}" if isinstance(x["wrong_language"], str) else ""
    share = f" ({number(x['rate'])}{most})" if x["off_target"] else ""
    return f"{x['off_target']}/{x['n']}{share}, {x['uncertain']} can't be told"
