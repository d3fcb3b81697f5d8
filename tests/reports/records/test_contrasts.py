"""Arms that the config doesn't name are known from how the adapters were tuned."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from croco_eval.harness.errors import StoreError
from croco_eval.harness.models.tuning import Tuning
from croco_eval.reports.records.contrasts import arms_of
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.report.write import write_report
from croco_eval.reports.tables.all import write_tables
from helpers.hand_built import write_config, write_quiz

MONO = Tuning("mono/seed-1", "dpo", "on-policy", "base", "language", "skywork", ("da", "de"), 1)
TUNINGS = {
    "mono-2": replace(MONO, arm="mono/seed-2", seed=2),
    "mono-1": MONO,
    "multi": replace(MONO, arm="multi", pool="all"),
    "off-1": replace(MONO, arm="off/seed-1", data="off-policy", sampled_from="other"),
    "other-reward": replace(MONO, arm="icr", reward="icr"),
    "online": replace(MONO, arm="online", trainer="online-dpo", data="online", pool=None),
    "max-r": replace(MONO, arm="max-r", trainer="sft"),
    "english": replace(MONO, arm="english", languages=("en",), trainer="sft"),
}


def test_two_systems_stand_for_a_contrast_that_differ_in_it_and_agree_in_the_rest():
    assert arms_of({}, TUNINGS) == {
        "on_policy": "mono-1",  # of the same seed as the one off-policy, though mono-2 comes first
        "off_policy": "off-1",
        "online": "online",
        "offline": "mono-1",
        "dpo": "mono-1",
        "sft": "max-r",
        "multi": "multi",
        "mono": "mono-1",
    }


def test_what_the_config_names_counts_and_what_it_lacks_is_found_to_fit():
    found = arms_of({"mono": "mono-2", "sft": "english", "online": "unrecorded"}, TUNINGS)
    assert (found["multi"], found["mono"]) == ("multi", "mono-2")
    assert found["sft"] == "english"
    assert "dpo" not in found
    assert found["online"] == "unrecorded"
    assert "offline" not in found


def test_without_records_there_are_only_the_arms_of_the_config():
    assert arms_of({"on_policy": "a"}, {}) == {"on_policy": "a"}


def test_a_run_compares_arms_by_its_manifest_and_reports_how_they_were_tuned(tmp_path: Path):
    rng = np.random.default_rng(0)
    names = ("base", "mono-1", "off-1")
    values = {x: {"da": rng.choice([0.0, 1.0], 50)} for x in names}
    identities = {x: {"tuning": asdict(TUNINGS[x])} for x in names[1:]}
    run = write_quiz(tmp_path / "run", values, identities=identities)
    write_config(run, names, ["quiz"])
    write_report(write_tables(RunData(run)), figures=False)
    table = pd.read_csv(run / "policy.csv")
    assert set(zip(table["contrast"], table["candidate"], table["reference"], strict=True)) == {
        ("on_policy vs off_policy", "mono-1", "off-1")
    }
    text = (run / "report" / "report.md").read_text(encoding="utf-8")
    assert "How adapters were tuned" in text
    assert "off-policy" in text


def test_a_damaged_record_is_told(tmp_path: Path):
    wrong = {"tuning": {**asdict(MONO), "data": "somewhere"}}
    run = write_quiz(tmp_path / "run", {x: {"da": [1.0]} for x in ("base", "a")}, identities={"a": wrong})
    write_config(run, ("base", "a"), ["quiz"])
    with pytest.raises(StoreError, match=r"system a doesn't say how an adapter was tuned: data"):
        _ = RunData(run).settings
