"""``gate.json``, ``gate.xml`` (JUnit) and ``gate.md``: one result for programs, for CI systems and for people.

The same run and policy give the same bytes. The fields are documented in docs/files.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ...harness.store.files import write_atomically, write_json
from ..document.document import Block, Remark, TextTable
from .verdict import GatedRow, GateResult

GATE_VERSION = 1
FILES = ("gate.json", "gate.xml", "gate.md")
_SUITE = "croco-eval.gate"
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_gate(folder: Path, result: GateResult) -> None:
    """Writes the three files into a folder, which is made if need be. Raises StoreError."""
    write_json(folder / "gate.json", as_json(result))
    write_atomically(folder / "gate.xml", junit(result))
    write_atomically(folder / "gate.md", markdown(result))


def as_json(result: GateResult) -> dict[str, Any]:
    """The result as JSON can hold it: NaN is null."""
    return {
        "gate_version": GATE_VERSION,
        "verdict": result.verdict,
        "candidate": result.candidate,
        "reference": result.reference,
        "headline": result.headline,
        "rows": [_row(x) for x in result.rows],
        "not_gated": list(result.notes),
        "policy": result.policy.as_json(),
    }


def _row(row: GatedRow) -> dict[str, Any]:
    x = row.comparison
    values = {
        "name": row.name,
        "verdict": row.verdict,
        "reason": row.reason,
        "measure": row.measured.measure,
        **{k: getattr(x, k) for k in ("suite", "metric", "language")},
        "bound": row.measured.bound,
        **{k: getattr(x, k) for k in ("n", "unscored_candidate", "unscored_reference")},
        "candidate": x.mean_candidate,
        "reference": x.mean_reference,
        **{k: getattr(x, k) for k in ("difference", "ci_low", "ci_high", "p_value", "p_noninferior", "mde", "method")},
        "hole": row.measured.hole,
        **{k: getattr(x, k) for k in ("p_adjusted", "p_noninferior_adjusted")},
    }
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}


def junit(result: GateResult) -> str:
    """One test case per gated row: NO-GO is a failure, INCONCLUSIVE is skipped. Without rows one skipped case."""
    cases = [_case(x.comparison.suite, x.name, x.verdict, x.detail) for x in result.rows]
    cases = cases or [_case("", "gate", result.verdict, "nothing could be compared")]
    n_failed, n_skipped = (sum(x.find(kind) is not None for x in cases) for kind in ("failure", "skipped"))
    counts = {"tests": str(len(cases)), "failures": str(n_failed), "errors": "0", "time": "0"}
    root = ElementTree.Element("testsuites", {"name": "croco-eval check", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _SUITE, **counts, "skipped": str(n_skipped)})
    properties = ElementTree.SubElement(suite, "properties")
    for name in ("verdict", "candidate", "reference"):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _xml(getattr(result, name))})
    suite.extend(cases)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: str, name: str, verdict: str, reason: str) -> ElementTree.Element:
    classname = f"{_SUITE}.{suite}" if suite else _SUITE
    case = ElementTree.Element("testcase", {"classname": _xml(classname), "name": _xml(name), "time": "0"})
    text = _xml(reason)
    if verdict == "NO-GO":
        ElementTree.SubElement(case, "failure", {"message": text, "type": verdict}).text = text
    elif verdict == "INCONCLUSIVE":
        ElementTree.SubElement(case, "skipped", {"message": f"{verdict}: {text}"})
    return case


def _xml(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)


def brief(result: GateResult) -> Iterator[Block]:
    """A short table, what is not gated, and the verdict in one sentence."""
    rows = [
        (x.name, str(x.comparison.n or ""), number(x.comparison.difference, "+.4f"), x.verdict, x.reason)
        for x in result.rows
    ]
    if rows:
        yield TextTable("", ("row", "n", "difference", "verdict", "why"), tuple(rows))
    yield from map(Remark, result.notes)
    yield Remark(result.headline, result.verdict)


def markdown(result: GateResult) -> str:
    """The verdict, a table of the rows, worst first, what is not gated, and the rule."""
    rows = sorted(result.rows, key=lambda x: list(result.counts).index(x.verdict))
    lines = [f"# {result.verdict}", "", result.headline, ""]
    if rows:
        lines += ["| verdict | row | n | difference | 95% interval | margin | MDE | why |", "|" + "---|" * 8]
        lines += ["| " + " | ".join(map(_cell, _columns(x))) + " |" for x in rows] + [""]
    if result.notes:
        lines += ["Not gated:", "", *(f"- {x}" for x in result.notes), ""]
    p = result.policy
    lines += [
        f"Tests at alpha {p.alpha:g}, corrected over all rows ({p.correction}); required: {p.require}. "
        "The difference is candidate less reference, in the metric's units. MDE: the true difference that so many "
        "items find with a probability of 80%, uncorrected.",
        "",
    ]
    return "\n".join(lines)


def _columns(row: GatedRow) -> tuple[str, ...]:
    x = row.comparison
    interval = "" if math.isnan(x.ci_low) else f"[{x.ci_low:+.4f}, {x.ci_high:+.4f}]"
    measure = row.measured.measure
    return (
        row.verdict,
        row.name,
        str(x.n) if measure != "cost" else "",
        number(x.difference, "+.4f"),
        interval,
        number(row.measured.bound, "g"),
        number(x.mde, ".4f") if measure == "scores" else "",
        row.reason,
    )


def number(value: float, form: str) -> str:
    """A number to read; nothing for NaN."""
    return "" if math.isnan(value) else format(value, form)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
