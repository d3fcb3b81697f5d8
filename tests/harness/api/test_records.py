"""Orders of an item as one preference, and how a value came about."""

from __future__ import annotations

import math

import pytest
from croco_eval.harness.api.records import INCOMPLETE, Judgment, Preference, Signature, Verdict, preference_of


def judgment(verdict: Verdict | None = None, unscored: str | None = None, preference: float | None = None) -> Judgment:
    return Judgment("item", "source", "task", "unordered", verdict, unscored, preference=preference)


@pytest.mark.parametrize(
    ("found", "n_orders", "expected"),
    [
        ([judgment("candidate")], 1, Preference(1.0)),
        ([judgment("tie"), judgment("reference")], 2, Preference(0.25)),
        ([judgment("candidate", preference=0.5), judgment("candidate", preference=0.75)], 2, Preference(0.625)),
        ([judgment("candidate", preference=math.nan)], 1, Preference(1.0)),
        ([judgment("candidate"), judgment(unscored="reply cut off")], 2, Preference(None, "reply cut off")),
        ([judgment("candidate")], 2, Preference(None, INCOMPLETE)),
        ([], 1, Preference(None, INCOMPLETE)),
    ],
)
def test_all_orders_of_an_item_are_one_preference_or_none(found, n_orders, expected):
    assert preference_of(found, n_orders) == expected


@pytest.mark.parametrize("text", ["", "suite:locale|v:1|seed:0", "suite:a:b|v:1|2|seed:", "judge:j|judge-id:0f"])
def test_a_signature_is_read_as_it_was_written(text):
    assert str(Signature.parse(text)) == text


def test_a_signature_is_read_part_by_part():
    written = Signature.of({"suite": "mine", "v": "1|2", "seed": 0})
    assert Signature.parse(str(written)) == written
    assert str(Signature.of({"judge": "j"}) + written) == "judge:j|suite:mine|v:1|2|seed:0"


def test_what_several_signatures_do_not_share_is_a_star():
    first, second = (Signature.of({"suite": "s", "data": x, "seed": 0}) for x in "ab")
    assert str(Signature.joint([first, second, first])) == "suite:s|data:*|seed:0"
    assert Signature.joint([first, first]) == first
    assert Signature.joint([]) == Signature()


def test_a_conflict_names_the_parts_that_differ():
    ours, theirs = Signature.of({"chat": "no", "seed": 0}), Signature.of({"chat": "yes", "seed": 0, "shots": 5})
    assert ours.conflict(theirs) == "chat (no, yes), shots (nothing, 5)"
    assert ours.conflict(ours) is None
