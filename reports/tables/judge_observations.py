"""What is asked of a judge's verdicts, one by one: observations with a value of 1 (it holds), 0, or none and a remark.

An observation is a judgment, an item with both its orders, or an item (or judgment) that two judges share.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ...harness.store.fingerprint import digest
from ..records.run_data import Frame, RunData

ITEM = ["candidate", "reference", "suite", "language", "task", "item_id", "source_id"]
"""What names a judged item; judges that judged the same two answers share it."""

_OBSERVED = ["judge", "other_judge", "suite", "language", "source_id", "value", "remark"]
_EQUAL = 1e-9


def with_answers(data: RunData, items: Frame) -> Frame:
    """MergedRuns preferences with what the audit needs of the answers.

    ``verdict``: the side of the preference, None where unscored; ``longer``: the characters of the candidate's answer
    less the reference's, NaN where there is no answer; ``forced``: the answers are
    equal and the judge may not call a tie, so its choice says nothing.
    """
    table = items
    for role in ("candidate", "reference"):
        table = table.merge(_answers(data, items, role), how="left")
    preference = table["preference"].to_numpy(dtype=float)
    sides = np.array(["reference", "tie", "candidate", None], dtype=object)
    side = np.where(np.isnan(preference), 3, 1 + (preference > 0.5 + _EQUAL) - (preference < 0.5 - _EQUAL))
    untied = [x for x, identity in data.manifest["judges"].items() if identity.get("ties") is False]
    equal = table["candidate_answer"].notna() & table["candidate_answer"].eq(table["reference_answer"])
    length = {x: table[f"{x}_answer"].str.len().astype(float) for x in ("candidate", "reference")}
    return table.drop(columns=["candidate_answer", "reference_answer"]).assign(
        verdict=pd.Series(sides[side], index=table.index, dtype=object),
        longer=length["candidate"] - length["reference"],
        forced=equal & table["judge"].isin(untied),
    )


def _answers(data: RunData, items: Frame, role: str) -> Frame:
    """What a reader sees of the answers of the judged candidates or of the reference."""
    found = [pd.DataFrame({x: pd.Series(dtype=str) for x in (role, "suite", "language", "item_id", f"{role}_answer")})]
    for cell in items[[role, "suite", "language"]].drop_duplicates().itertuples(index=False, name=None):
        if cell in data.answers:
            answers = data.answers[cell].dropna(subset="answer")
            place = dict(zip((role, "suite", "language"), cell, strict=True))
            text = {f"{role}_answer": [x.visible for x in answers["answer"]]}
            found.append(answers[["item_id"]].assign(**place, **text))
    return pd.concat(found, ignore_index=True)


def with_readability(judgments: Frame, items: Frame) -> Frame:
    """``complete``: all judgments that were planned of the item are there and have a verdict; ``size``: how many."""
    grouped = judgments.groupby(["judge", *ITEM], sort=False)["verdict"]
    size = grouped.transform("size")
    complete = grouped.transform("count").eq(size) & size.ge(judgments["orders_per_item"])
    return judgments.assign(size=size, complete=complete).merge(items[["judge", *ITEM, "forced"]], how="left")


def order_consistency(judgments: Frame) -> Frame:
    """Per item: do its two orders have the same verdict?"""
    grouped = judgments.groupby(["judge", *ITEM], sort=False)
    table = grouped.first().reset_index()
    agree = grouped["verdict"].nunique().to_numpy() == 1
    return _observations(table, agree, {**_unusable(table), "one order by choice": table["size"].eq(1)})


def first_position(judgments: Frame) -> Frame:
    """Per judgment: does it prefer the answer that was shown first?

    Only items of which all planned orders are readable: else which order is missing would look like a preference.
    """
    first = judgments["verdict"].eq("candidate") == judgments["order"].eq("candidate_first")
    return _observations(judgments, first, {**_unusable(judgments), "tie": judgments["verdict"].eq("tie")})


def _unusable(table: Frame) -> dict[str, Frame]:
    return {
        "shown without an order": table["order"].eq("unordered"),
        "an order is not readable": ~table["complete"],
        "equal answers, and no tie was allowed": table["forced"],
    }


def prefers_longer(items: Frame) -> Frame:
    """Per item: is the preferred answer the longer one, in characters?"""
    longer = items["verdict"].eq("candidate") == (items["longer"] > 0)
    left_out = {
        "unscored": items["verdict"].isna(),
        "tie": items["verdict"].eq("tie"),
        "no answer": items["longer"].isna(),
        "equal lengths": items["longer"].eq(0),
    }
    return _observations(items, longer, left_out)


def unscored(judgments: Frame) -> Frame:
    """Per judgment: has it no verdict? The remark is the reason."""
    missing = judgments["verdict"].isna()
    reason = judgments["unscored"].where(missing, None).astype(object)
    return _observations(judgments, missing, {}).assign(remark=reason.where(reason.notna(), None))


def self_agreement(judgments: Frame, judges: dict[str, dict[str, Any]]) -> Frame:
    """Per judgment that a judge and its repeat both made (same item, same order): is the verdict the same?

    A repeat is a judge of the same identity under another name, be it with another seed.
    """
    pairs = repeats(judges)
    repeated = {x for pair in pairs for x in pair}
    alone = judgments[~judgments["judge"].isin(repeated)]
    tables = [_observations(alone, True, {"no repeats": pd.Series(True, index=alone.index)})]
    for first, second in pairs:
        both = _side_by_side(judgments, first, second, [*ITEM, "order"])
        missing = both["verdict"].isna() | both["verdict_other"].isna()
        tables.append(_observations(both, both["verdict"].eq(both["verdict_other"]), {"unscored": missing}))
    return pd.concat([x for x in tables if len(x)], ignore_index=True)


def repeats(judges: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Every two judges whose identities differ in nothing but the seed."""
    known = {name: digest({k: v for k, v in x.items() if k != "seed"}) for name, x in judges.items() if x}
    return [(a, b) for a, b in combinations(known, 2) if known[a] == known[b]]


def known_answers(items: Frame, judges: dict[str, dict[str, Any]]) -> Frame:
    """Per item for which judge ``reference`` knows which answer is better: does the judge prefer it? A tie does not."""
    tables = [pd.DataFrame(columns=_OBSERVED)]
    knowing = [x for x, identity in judges.items() if identity.get("judge", x) == "reference"]
    for known in knowing:
        for judge in [x for x in judges if x not in knowing]:
            both = _side_by_side(items, judge, known, ITEM)
            left_out = {
                "not known which is better": both["verdict_other"].isna() | both["verdict_other"].eq("tie"),
                "unscored": both["verdict"].isna(),
            }
            tables.append(_observations(both, both["verdict"].eq(both["verdict_other"]), left_out))
    return pd.concat([x for x in tables if len(x)] or tables, ignore_index=True)


def _side_by_side(table: Frame, first: str, second: str, keys: list[str]) -> Frame:
    ours, theirs = (table.loc[table["judge"].eq(x), ["judge", *keys, "verdict"]] for x in (first, second))
    return ours.merge(theirs.rename(columns={"judge": "other_judge"}), on=keys, suffixes=("", "_other"))


def _observations(table: Frame, holds: Any, left_out: dict[str, Any]) -> Frame:
    """A value of 1 where it holds, else 0; none, and the first remark that fits, where an observation is left out."""
    remark = np.full(len(table), None, dtype=object)
    for text, applies in reversed(left_out.items()):
        remark[np.asarray(applies, dtype=bool)] = text
    value = np.where(pd.isna(remark), np.broadcast_to(holds, len(table)).astype(float), np.nan)
    return table.assign(value=value, remark=remark, other_judge=table.get("other_judge", ""))[_OBSERVED]
