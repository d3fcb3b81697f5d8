"""Suites whose data are published: real runs against a local hub, equal to plain lm-eval on the same YAML."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import lm_eval
import pandas as pd
import pytest
import yaml
from helpers import hub
from helpers.hub.files import dataset_files
from helpers.hub.fixtures import LocalHub
from helpers.hub.published import ACCEPTABILITY, classification, published
from helpers.hub.server import Fault
from helpers.paths import ROOT
from helpers.punkt import write_punkt

OWN = ROOT / "tasks"
THEIRS = Path(lm_eval.__file__).parent / "tasks"
EUROEVAL = ["scala-de", "mmlu-de", "germanquad", "ifeval-de"]
SUITES = [
    "belebele", "multiblimp", "m-mmlu", "m-arc", "m-hellaswag", "global-mmlu", "include", "mgsm", "xnli", "global-piqa",
    "sib200", "m-arena-hard", {"name": "euroeval", "options": {"tasks": EUROEVAL}},
]  # fmt: skip
PLAIN = [  # folder, lm-eval's task, (suite, task in our tables, language)
    (THEIRS / "belebele", "belebele_deu_Latn", "belebele/belebele/de"),
    (THEIRS / "multiblimp", "multiblimp_deu", "multiblimp/multiblimp/de"),
    (THEIRS / "okapi/mmlu_multilingual", "m_mmlu_de", "m-mmlu/m-mmlu/de"),
    (THEIRS / "okapi/arc_multilingual", "arc_de", "m-arc/m-arc/de"),
    (THEIRS / "okapi/hellaswag_multilingual", "hellaswag_de", "m-hellaswag/m-hellaswag/de"),
    (THEIRS / "global_mmlu/full/de", "global_mmlu_full_de_anatomy", "global-mmlu/anatomy/de"),
    (THEIRS / "global_mmlu/full/de", "global_mmlu_full_de_virology", "global-mmlu/virology/de"),
    (THEIRS / "include/default/German", "include_base_44_german_stem", "include/stem/de"),
    (THEIRS / "mgsm/direct", "mgsm_direct_de", "mgsm/mgsm/de"),
    (THEIRS / "xnli", "xnli_de", "xnli/xnli/de"),
    (THEIRS / "global_piqa", "global_piqa_parallel_cloze_deu_latn", "global-piqa/parallel/de"),
    (THEIRS / "global_piqa", "global_piqa_nonparallel_cloze_deu_latn", "global-piqa/nonparallel/de"),
    (OWN / "published/sib200/yaml", "sib200_de", "sib200/sib200/de"),
    (OWN / "published/euroeval/yaml", "euroeval_scala-de", "euroeval/scala-de/de"),
    (OWN / "published/euroeval/yaml", "euroeval_mmlu-de", "euroeval/mmlu-de/de"),
    (OWN / "published/euroeval/yaml", "euroeval_germanquad", "euroeval/germanquad/de"),
    (OWN / "published/euroeval/yaml", "euroeval_ifeval-de", "euroeval/ifeval-de/de"),
]


class Workplace:
    """A local hub, a folder, and ``croco-eval`` in it."""

    def __init__(self, local: LocalHub, folder: Path) -> None:
        self.hub, self.folder = local, folder

    def config(self, name: str, suites: list, languages: list[str], **more: object) -> Path:
        system = {"name": "base", "model": "croco-nano", "generation": {"max_new_tokens": 8}}
        settings = {"name": name, "languages": languages, "systems": [system], "suites": suites, **more}
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return path

    def cli(self, *arguments: object, offline: bool = False) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("croco-eval")), *map(str, arguments)]
        return self._run(command, offline)

    def plain(self, nano: Path) -> dict[tuple[str, str, int], float | None]:
        """What lm-eval alone gives, with its own data loading."""
        tasks = [(str(folder), task, name) for folder, task, name in PLAIN]
        script = Path(hub.__file__).with_name("plain_lm_eval.py")
        done = self._run([sys.executable, str(script), json.dumps({"model": str(nano), "tasks": tasks})], False)
        assert done.returncode == 0, done.stderr[-3000:]
        rows = json.loads(done.stdout.rpartition("RESULT")[2])
        return {(name, metric, document): value for name, metric, document, value in rows}

    def _run(self, command: list[str], offline: bool) -> subprocess.CompletedProcess[str]:
        environment = self.hub.environment(self.folder / "home", offline=offline)
        environment["NLTK_DATA"] = str(self.folder / "nltk")
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=500, check=False, env=environment
        )


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory):
    with LocalHub() as local:
        for name, files in published().items():
            local.add_dataset(name, files)
        folder = tmp_path_factory.mktemp("hub")
        write_punkt(folder / "nltk")
        yield Workplace(local, folder)


@pytest.fixture(scope="module")
def whole(workplace: Workplace) -> Path:
    """A run of every suite, all data fetched beforehand, without a network."""
    config = workplace.config("whole", SUITES, ["de"])
    fetched = workplace.cli("prefetch", config)
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    assert "task      sib200/de" in fetched.stdout
    assert "resource  NLTK punkt_tab" in fetched.stdout
    workplace.hub.forget()
    done = workplace.cli("run", config, offline=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return workplace.folder / "runs" / "whole"


def test_after_prefetch_a_run_asks_the_hub_for_nothing(workplace: Workplace, whole: Path):
    assert workplace.hub.requests == []
    assert not (pd.read_csv(whole / "scores.csv")["metric"] == "gap").any()


def test_item_values_of_every_suite_equal_those_of_plain_lm_eval(workplace: Workplace, whole: Path, nano: Path):
    expected = workplace.plain(nano)
    found = {}
    for suite in sorted({name.split("/")[0] for _, _, name in PLAIN}):
        scores = pd.read_parquet(whole / "cells" / "base" / suite / "de" / "scores.parquet")
        for x in scores.itertuples():
            number = int(x.item_id.split("/")[-2])
            found[f"{suite}/{x.task}/de", x.metric, number] = None if pd.isna(x.value) else x.value
    assert len(expected) > 150
    assert {k: found[k] for k in expected} == pytest.approx(expected, abs=1e-6)


def test_tables_hold_corpus_metrics_and_the_score_by_euroevals_rule(whole: Path):
    scores = pd.read_csv(whole / "scores.csv").set_index(["suite", "task", "metric"])
    assert scores.loc[("euroeval", "scala-de", "mcc"), "method"] == "bootstrap"
    euroeval = scores.loc["euroeval"].drop(index="all", level="task")
    assert euroeval["euroeval_score"].notna().all()
    assert (euroeval["euroeval_half_width"] >= 0).all()
    assert scores.drop(index="euroeval", level="suite")["euroeval_score"].isna().all()


def test_translations_share_their_source(workplace: Workplace):
    config = workplace.config("pair", ["sib200", "belebele", "mgsm", "m-mmlu", "m-arena-hard"], ["de", "en"])
    assert workplace.cli("run", config).returncode == 0
    for suite in ("sib200", "belebele", "mgsm", "m-mmlu", "m-arena-hard"):
        cells = workplace.folder / "runs" / "pair" / "cells" / "base" / suite
        de, en = (pd.read_parquet(cells / x / "items.parquet") for x in ("de", "en"))
        assert set(de["source_id"]) == set(en["source_id"])
        assert de["source_id"].is_unique
        assert not set(de["item_id"]) & set(en["item_id"])


def test_arena_prompts_keep_category_and_subcategory(whole: Path):
    items = pd.read_parquet(whole / "cells" / "base" / "m-arena-hard" / "de" / "items.parquet")
    assert json.loads(items["metadata"][0]) == {"category": "hard_prompt", "subcategory": "coding"}
    assert set(items["task"]) == {"hard_prompt"}


def test_the_manifest_and_the_signature_hold_the_fingerprint_of_the_data(whole: Path):
    tasks = json.loads((whole / "manifest.json").read_text())["tasks"]
    scores = pd.read_csv(whole / "scores.csv")
    signature = scores.loc[(scores["suite"] == "sib200") & (scores["task"] != "all"), "signature"].iloc[0]
    assert f"data:{tasks['sib200/de']['data']}" in signature


def test_changed_data_refuse_to_resume(workplace: Workplace):
    suite = [{"name": "euroeval", "options": {"tasks": ["scala-nl"]}}]
    config = workplace.config("changed", suite, ["nl"])
    rows = {"test": classification(6, ACCEPTABILITY), "train": classification(40, ACCEPTABILITY)}

    first = workplace.hub.add_dataset("EuroEval/scala-nl", dataset_files({"default": rows}))
    assert workplace.cli("run", config).returncode == 0
    rows["test"][0]["text"] += " changed"
    workplace.hub.add_dataset("EuroEval/scala-nl", dataset_files({"default": rows}))
    refused = workplace.cli("run", config)
    assert refused.returncode == 1
    assert "task.data:" in refused.stderr
    pinned = workplace.config("pinned", suite, ["nl"], revisions={"EuroEval/scala-nl": first})
    assert workplace.cli("run", pinned).returncode == 0
    old, new = (workplace.folder / "runs" / x / "cells/base/euroeval/nl/items.parquet" for x in ("changed", "pinned"))
    assert pd.read_parquet(old)["prompt"].tolist() == pd.read_parquet(new)["prompt"].tolist()


def test_data_sets_that_cannot_be_used_are_gaps_and_the_rest_goes_on(workplace: Workplace):
    """Gated, missing, changed and cut off: a sentence each, in one run."""
    local = workplace.hub

    rows = {"test": classification(4, ACCEPTABILITY), "train": classification(40, ACCEPTABILITY)}
    local.add_dataset("EuroEval/scala-en", dataset_files({"default": rows}), gated=True)
    lost = {k: [{"sentence": x["text"], "label": x["label"]} for x in v] for k, v in rows.items()}
    local.add_dataset("EuroEval/scala-fr", dataset_files({"default": lost}))
    odd = {k: [{**x, "label": "maybe"} for x in v] for k, v in rows.items()}
    local.add_dataset("EuroEval/scala-it", dataset_files({"default": odd}))
    local.add_dataset("EuroEval/scala-es", dataset_files({"default": rows}))
    local.fail("EuroEval/scala-es", Fault.TRUNCATED, files="*.parquet")
    tasks = ["scala-en", "scala-fr", "scala-it", "scala-es", "dala", "mmlu-sv"]
    local.add_dataset("EuroEval/dala", dataset_files({"default": rows}))  # where giannor/dala has moved
    config = workplace.config(
        "faults", [{"name": "euroeval", "options": {"tasks": tasks}}], ["en", "fr", "it", "es", "da", "sv"]
    )
    done = workplace.cli("run", config)
    assert done.returncode == 1
    assert "5 of the tasks could not be run" in done.stderr
    output = " ".join(done.stdout.split())
    for sentence in (
        "EuroEval/scala-en is gated: accept its terms on the hub",
        "EuroEval/scala-fr, split 'test': column 'text' is missing (it has: sentence, label)",
        "EuroEval/scala-it, split 'test', row 1: 'label' is 'maybe', which is none of correct, incorrect",
        "EuroEval/scala-es can't be fetched: the hub does not answer or breaks off",
        "EuroEval/mmlu-sv-mini is not on the hub",
    ):
        assert sentence in output
    scores = pd.read_csv(workplace.folder / "runs" / "faults" / "scores.csv")
    assert set(scores.loc[scores["metric"] == "gap", "language"]) == {"en", "fr", "it", "es", "sv"}
    assert scores.loc[scores["task"] == "dala", "n"].eq(4).all()


def test_offline_a_pin_to_another_commit_is_no_licence_to_use_the_cached_one(workplace: Workplace, whole: Path):
    config = workplace.config("pin", ["sib200"], ["de"], revisions={"Davlan/sib200": "0" * 40})
    done = workplace.cli("run", config, offline=True)
    assert done.returncode == 1
    assert "is not in the local cache and the hub is switched off" in " ".join(done.stdout.split())


def test_an_unknown_task_or_option_of_a_suite_is_refused_with_the_near_name(workplace: Workplace):
    for options, words in (
        ({"tasks": ["scala-dk"]}, "did you mean 'scala-d"),
        ({"exlude": []}, "did you mean 'exclude'"),
    ):
        config = workplace.config("wrong", [{"name": "euroeval", "options": options}], ["de"])
        done = workplace.cli("run", config, "--dry-run")
        assert done.returncode == 2
        assert words in done.stderr
