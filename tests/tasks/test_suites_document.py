"""docs/suites.md: its tables are those of the suites' own files, its examples are read, what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from croco_eval.harness import registry
from croco_eval.harness.api.suite import SuiteOptions
from croco_eval.harness.config.run_config import parse_config
from croco_eval.harness.text.languages import LANGUAGES
from croco_eval.tasks.published.euroeval.suite import euroeval
from croco_eval.tasks.published.suite import HubSuite, TaskEntry
from helpers.paths import ROOT

DOCUMENT = ROOT / "docs" / "suites.md"
SUITES = {x: registry.load("suites", x) for x in registry.names("suites") if x != "lm-eval"}
HUB: dict[str, HubSuite] = {name: x for name, x in SUITES.items() if isinstance(x, HubSuite)}
KINDS = tuple(euroeval.spec.kinds)


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(x)} |" for x in lines)


def coverage() -> str:
    """Languages of every suite; for euroeval, the number of data sets."""
    rows = []
    for name, suite in SUITES.items():
        covered = suite.languages(SuiteOptions(name, None, None, 0))
        sizes = {x: str(len(euroeval.spec.entries(x))) for x in covered} if suite is euroeval else {}
        rows.append([f"`{name}`", *(sizes.get(x, "x") if x in covered else " " for x in LANGUAGES)])
    return table(["suite", *LANGUAGES], rows)


def grouped(values: dict[str, str]) -> str:
    """A value that most share first, then those of others with their names."""
    common = max(dict.fromkeys(values.values()), key=list(values.values()).count)
    others = [f"{name}: {value}" for name, value in values.items() if value != common]
    return "; ".join([common, *others])


def shared(entry: TaskEntry) -> str:
    if entry.source_id is None:
        return "not parallel"
    return "place in the file" if entry.source_id == "row" else " + ".join(f"`{x}`" for x in entry.source_id)


def sources() -> str:
    """Data set, lm-eval task, primary metric and cluster of the suites of one task per language (or two, by name)."""
    rows = []
    for name, suite in HUB.items():
        if suite is euroeval:
            continue
        entries = {
            (f"{x.name}" if x.name else code): x for code in suite.spec.languages for x in suite.spec.entries(code)
        }
        data = grouped({k: f"`{x.dataset}`" for k, x in entries.items()})
        tasks = ", ".join(f"`{x.task}`" for x in suite.spec.entries("de"))
        assert {x.few_shot for x in entries.values()} == {0}
        rows.append(
            [f"`{name}`", data, tasks, f"`{suite.spec.primary}`", grouped({k: shared(x) for k, x in entries.items()})]
        )
    return table(
        ["suite", "data set", "lm-eval's task, in German", "primary metric", "translations of an item share"], rows
    )


def euroeval_sets() -> str:
    rows = []
    for language in euroeval.spec.languages:
        found = {kind: [x.name or "" for x in euroeval.spec.entries(language) if x.kind == kind] for kind in KINDS}
        rows.append([language, *(", ".join(found[kind]) or " " for kind in KINDS)])
    return table(["", *(x.replace("_", " ") for x in KINDS)], rows)


@pytest.fixture(scope="module")
def document() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("make", [coverage, sources, euroeval_sets])
def test_a_table_of_the_document_says_what_the_suites_files_say(document: str, make):
    assert make() in document


def test_the_number_of_euroevals_data_sets_is_right(document: str):
    number = sum(len(euroeval.spec.entries(x)) for x in euroeval.spec.languages)
    assert f"The {number} data sets that the study evaluates" in document


def test_every_suite_is_described(document: str):
    described = re.findall(r"^\| `([a-z0-9-]+)` \| [^|]+ \|$", document, flags=re.MULTILINE)
    assert sorted(described) == sorted(SUITES)


def test_the_examples_are_configs_that_are_read(document: str, tmp_path: Path):
    blocks = re.findall(r"```yaml\n(.*?)```", document, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        config = parse_config(
            f"name: example\nsystems: [{{name: base, model: croco-nano}}]\n{block}", "example", tmp_path
        )
        for suite in config.suites:
            options = SuiteOptions(suite.name, suite.limit, suite.few_shot, 0, options=suite.options)
            assert SUITES[suite.name].languages(options)


def test_every_link_leads_to_a_file(document: str):
    for target in re.findall(r"\]\(([^)#]+)", document):
        assert target.startswith("https://") or (DOCUMENT.parent / target).is_file(), target
