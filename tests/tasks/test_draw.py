"""What a limit keeps."""

from __future__ import annotations

import random

from croco_eval.tasks.draw import draw

SOURCES = [f"sib200/{i}" for i in range(400)]


def kept(sources: list[str], limit: int | None) -> set[str]:
    return {sources[place] for place in draw(sources, limit)}


def test_places_are_in_order_and_as_many_as_the_limit_says():
    for limit in (1, 7, 399):
        places = draw(SOURCES, limit)
        assert places == sorted(set(places))
        assert len(places) == limit
    assert draw(SOURCES, None) == draw(SOURCES, 400) == draw(SOURCES, 9999) == list(range(400))
    assert draw([], 5) == []


def test_the_sample_hangs_on_the_sources_and_not_on_their_order():
    shuffled = random.Random(0).sample(SOURCES, k=400)
    assert kept(shuffled, 60) == kept(SOURCES, 60)


def test_a_larger_limit_holds_the_smaller_one():
    assert kept(SOURCES, 30) < kept(SOURCES, 31) < kept(SOURCES, 200)


def test_every_part_of_a_data_set_is_drawn_from():
    """Of 400 items sorted by a label with 8 values, 80 are drawn: 10 of each are expected."""
    sizes = [sum(50 * label <= place < 50 * (label + 1) for place in draw(SOURCES, 80)) for label in range(8)]
    assert min(sizes) >= 4


def test_items_that_share_a_source_are_drawn_together_as_far_as_the_limit_goes():
    twice = [x for x in SOURCES[:20] for _ in range(2)]
    assert kept(twice, 20) == kept(SOURCES[:20], 10)
