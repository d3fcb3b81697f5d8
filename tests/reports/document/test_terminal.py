"""Documents on a terminal."""

from __future__ import annotations

import io

import pytest
from croco_eval.reports.document.document import Listing, Remark, TextTable
from croco_eval.reports.document.terminal import show
from rich.console import Console

TABLE = TextTable(
    "base [bold]against[/] sft",
    ("language", "difference", "verdict"),
    (("da", "+0.123 [-0.456, 0.789]", "improved"), ("all", "-0.001 [-0.002, 0.003]", "forgot")),
    group_ends=(0,),
)


def printed(*blocks, width: int = 80, **settings) -> str:
    file = io.StringIO()
    show(blocks, Console(file=file, width=width, **settings))
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 30, 10])
def test_no_number_is_cut_however_narrow_the_terminal_is(width):
    words = printed(TABLE, width=width).split()
    assert {"+0.123", "[-0.456,", "0.789]", "-0.001", "improved", "forgot"} <= set(words)


def test_markup_in_names_is_shown_as_it_is():
    assert printed(TABLE).splitlines()[0] == "base [bold]against[/] sft"
    assert printed(Remark("[red]x[/]"), "[0.1, 0.2]", Listing(("a", "b"))) == "[red]x[/]\n[0.1, 0.2]\na\nb\n"


def test_verdicts_and_remarks_are_coloured():
    shown = printed(TABLE, Remark("x"), color_system="standard", force_terminal=True)
    assert "\x1b[32mimproved" in shown
    assert "\x1b[31mforgot" in shown
    assert "\x1b[33mx" in shown
