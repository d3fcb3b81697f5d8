"""A gate policy: strict, positive margins, the nearest rule wins."""

from __future__ import annotations

import re
from inspect import signature

import pytest
import yaml
from croco_eval.harness.errors import UserError
from croco_eval.reports.commands.check import check
from croco_eval.reports.gate.files import FILES
from croco_eval.reports.gate.policy import GatePolicy, gated_rows, read_policy
from helpers.paths import ROOT

LANGUAGES = ["da", "de", "no", "cy"]


@pytest.fixture
def policy(tmp_path):
    def read(text: str) -> GatePolicy:
        path = tmp_path / "gate.yaml"
        path.write_text(text, encoding="utf-8")
        return read_policy(path)

    return read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("margn: 0.03", r"gate\.yaml:1: unknown key 'margn' - did you mean 'margin'"),
        ("alpha: 0.05\nmargin: -0.02", r"gate\.yaml:2: margin: .*positive number, not -0\.02"),
        ("margin: 0", "nothing at all was lost"),
        ("margins: {quiz: -0.1}", r"margins\.quiz.*positive number, not -0\.1"),
        ("margins: {quiz: {low: -0.1}}", r"margins\.quiz\.low.*positive number"),
        ("margin: .inf", "finite"),
        ("margins: {quiz: {lows: 0.1}}", "'lows' is neither .* did you mean 'low'"),
        ("margins: {quiz: {xx: 0.1}}", "'xx' is neither"),
        ("alpha: 0.7", "less than 0.5"),
        ("correction: bonferoni", "'holm' or 'bh'"),
        ("require: better", "'non-inferior' or 'not-worse'"),
        ("scopes: [groups]", "'language', 'group' or 'all'"),
        ("scopes: []", "at least 1"),
        ("max_unscored: 5", "less than or equal to 1"),
        ("min_items: 0", "greater than or equal to 1"),
        ("max_cost: -1", "greater than or equal to 0"),
        ("- margin", "a gate policy is a mapping"),
        ("margin: 0.1\nmargin: 0.2", "stands twice"),
        ("margin: [", "not valid YAML"),
    ],
)
def test_wrong_policy_is_a_sentence(policy, text, said):
    with pytest.raises(UserError, match=said):
        policy(text)


def test_missing_policy_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no gate policy .*absent\.yaml"):
        read_policy(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("suite", "row", "margin"),
    [
        ("quiz", "high", 0.03),  # the suite's
        ("quiz", "low", 0.05),  # the suite's for the group
        ("quiz", "cy", 0.05),  # a language takes its group's
        ("quiz", "no", 0.07),  # and its own before that
        ("chat", "low", 0.04),  # every suite's for the group
        ("chat", "all", 0.01),  # the default
    ],
)
def test_nearest_margin_wins(policy, suite, row, margin):
    read = policy("margin: 0.01\nmargins: {quiz: {default: 0.03, low: 0.05, no: 0.07}, '*': {low: 0.04, nb: 0.2}}")
    assert read.margin_of(suite, row) == margin


def test_a_number_is_the_margin_of_all_rows_of_a_suite(policy):
    assert policy("margins: {quiz: 0.03}") == policy("margins: {quiz: {default: 0.03}}")


@pytest.mark.parametrize("text", ["suites: [quizz]", "margins: {quizz: 0.1}"])
def test_suite_that_is_not_compared_is_refused_with_the_near_one(policy, text):
    with pytest.raises(UserError, match=r"'quizz'.*\(quiz, chat\) - did you mean 'quiz'\?"):
        policy(text).resolve(["quiz", "chat"], LANGUAGES)


def test_resolved_policy_has_a_margin_for_each_gated_row(policy):
    resolved = policy("margins: {quiz: 0.03}\nsuites: [quiz]").resolve(["quiz", "chat"], LANGUAGES)
    assert resolved.suites == ("quiz",)
    assert resolved.margins == {("quiz", x): 0.03 for x in ("high", "no", "cy", "all")}
    assert resolved.as_json()["margins"] == {"quiz": {"high": 0.03, "no": 0.03, "cy": 0.03, "all": 0.03}}


@pytest.mark.parametrize(
    ("languages", "scopes", "rows"),
    [
        (LANGUAGES, ["group", "all"], ("high", "no", "cy", "all")),
        (LANGUAGES, ["all"], ("all",)),
        (LANGUAGES, ["language"], ("da", "de", "no", "cy")),
        (LANGUAGES, ["language", "group"], ("da", "de", "no", "cy", "high")),
        (["da", "de"], ["group", "all"], ("all",)),  # one group is all there is
        (["da"], ["all"], ("da",)),
    ],
)
def test_language_alone_in_its_group_stands_for_it(languages, scopes, rows):
    assert gated_rows(languages, scopes) == rows


def test_packaged_policy_writes_out_every_default():
    packaged = read_policy(ROOT / "configs" / "gate.yaml")
    assert packaged == read_policy(None)
    assert packaged.model_fields_set == set(GatePolicy.model_fields)


# The document


def _blocks(kind: str) -> list[str]:
    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL)


def test_documented_policy_and_keys_are_those_there_are(policy):
    (shown,) = [x for x in _blocks("yaml") if x.startswith("# gate.yaml")]
    assert policy(shown) == read_policy(None)
    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    assert not [x for x in GatePolicy.model_fields if f"`{x}`" not in text]


def test_documented_ci_files_are_yaml_and_run_commands_there_are():
    ci = [yaml.safe_load(x) for x in _blocks("yaml")]
    steps = [x.get("run", "") for x in ci[1]["jobs"]["gate"]["steps"]] + [ci[2][0]["run"]] + ci[3]["gate"]["script"]
    options = {x for step in steps for x in re.findall(r"croco-eval check.*", step) for x in re.findall(r"--\w+", x)}
    known = {f"--{name}" for name in signature(check).parameters}
    assert {"--policy", "--baseline", "--out"} <= options <= known
    assert ci[3]["gate"]["artifacts"]["reports"]["junit"] == f"gate/{FILES[1]}"
