"""The tables of suites: they say what lm-eval's own YAML says, plan without lm-eval, and generate what is shipped."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from croco_eval.harness import registry
from croco_eval.harness.api.suite import SuiteOptions
from croco_eval.harness.config.run_config import read_config
from croco_eval.harness.errors import DataError
from croco_eval.harness.run.execute import execute
from croco_eval.harness.text.languages import LANGUAGES
from croco_eval.tasks.lm_eval.adapter import _members, own_tasks
from croco_eval.tasks.open_ended.m_arena_hard import m_arena_hard
from croco_eval.tasks.published import suite as hub_suite
from croco_eval.tasks.published import suites as hub
from croco_eval.tasks.published.dataset import LocalFiles, Source, load
from croco_eval.tasks.published.euroeval.suite import euroeval
from croco_eval.tasks.published.generate import generate
from croco_eval.tasks.published.suite import HubSuite
from croco_eval.tasks.published.suites import sib200
from datasets import Dataset
from helpers.paths import SHARED
from lm_eval.tasks._yaml_loader import load_yaml
from rich.console import Console

FACTS = SHARED / "facts" / "euroeval.yaml"
TASKS = Path(hub.__file__).parents[1]
SHAPING = ("output_type", "target_delimiter", "description", "num_fewshot", "metric_list")
HUB = (
    "belebele",
    "global_mmlu",
    "global_piqa",
    "include",
    "m_arc",
    "m_hellaswag",
    "m_mmlu",
    "mgsm",
    "multiblimp",
    "xnli",
)


@pytest.mark.parametrize("name", HUB)
def test_a_suites_table_says_what_lm_evals_yaml_says(name: str):
    suite: HubSuite = getattr(hub, name)
    manager = own_tasks(suite.spec.lm_eval, TASKS / "published" / "yaml")
    for language in suite.spec.languages:
        for entry in suite.spec.entries(language):
            for leaf in _members(manager, entry.task):
                config = load_yaml(manager.task_index[leaf].yaml_path, resolve_func=True)
                assert config["dataset_path"] == entry.dataset
                assert config.get("dataset_name") == entry.config
                assert (config.get("num_fewshot") or 0) == entry.few_shot
                evaluated = config.get("test_split") or config["validation_split"]
                few_shot = (config.get("fewshot_config") or {}).get("split") or config.get("fewshot_split")
                examples = few_shot or config.get("training_split") or evaluated
                assert entry.splits == tuple(dict.fromkeys((evaluated, examples)))


def test_coverage_by_language():
    covered = {x: getattr(hub, x).spec.languages for x in HUB}
    assert {x for x in LANGUAGES if x not in covered["belebele"]} == {"cy", "ga"}
    assert {x for x in LANGUAGES if x not in covered["multiblimp"]} == {"no", "mt"}
    assert set(covered["mgsm"]) == set(covered["xnli"]) == {"de", "en", "es", "fr", "gl"}
    assert set(sib200.spec.languages) == set(LANGUAGES)
    assert set(euroeval.spec.languages) == {"da", "de", "en", "es", "fi", "fr", "it", "nl", "no", "pt", "sv"}


@pytest.mark.parametrize("suite", ["euroeval", "sib200"])
def test_shipped_yaml_is_what_the_tables_and_prompts_generate(suite: str):
    folder = TASKS / "published" / suite / "yaml"
    assert generate(suite) == {x.name: x.read_text(encoding="utf-8") for x in folder.glob("[!_]*.yaml")}


def test_euroeval_is_the_studys_map_without_its_slips():
    if not FACTS.is_file():
        pytest.skip("the facts about EuroEval (../shared/facts/euroeval.yaml) are not here")
    facts = yaml.safe_load(FACTS.read_text(encoding="utf-8"))["datasets"]
    slips = [x for x in facts if x["lang"] == "pt" and x["dataset"].endswith("-sv")]
    assert len(slips) == 1
    expected = {(x["lang"], x["dataset"]): x for x in facts if x not in slips}
    found = {(language, x.name): x for language in euroeval.spec.languages for x in euroeval.spec.entries(language)}
    assert found.keys() == expected.keys()
    for key, fact in expected.items():
        entry = found[key]
        assert entry.dataset == fact["hub_id"]
        assert entry.also == ((fact["hub_id_head"],) if "hub_id_head" in fact else ())
        assert entry.few_shot == fact["num_few_shot"]
        assert list(entry.drawn_before) == [fact["splits"][x] for x in ("train", "val") if fact["splits"][x]]
        assert list(entry.labels.get("label", [])) == (fact["labels"] or [])
        assert set(entry.columns) <= {x.partition("{")[0] for x in fact["columns"]}


def test_planning_every_suite_loads_no_lm_eval_and_no_network_client(tmp_path: Path):
    suites = [x for x in registry.names("suites") if x != "lm-eval"]
    assert len(suites) == 16
    config = {"name": "all", "systems": [{"name": "base", "model": "croco-nano"}], "suites": suites}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    script = (
        "import sys; from pathlib import Path; from croco_eval.harness.config.run_config import read_config; "
        "from croco_eval.harness.run.plan import make_plan; plan = make_plan(read_config(Path('all.yaml'))); "
        "print(len(plan.cells) + len(plan.gaps), [x for x in ('lm_eval', 'torch', 'datasets', 'huggingface_hub') "
        "if x in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{16 * 14} []"


def options(**more) -> SuiteOptions:
    return SuiteOptions(name="sib200", limit=None, few_shot=None, seed=0, **more)


def write_tsv(folder: Path, name: str, rows: list[str], header: str = "index_id\tcategory\ttext") -> None:
    (folder / "sib200").mkdir(exist_ok=True)
    (folder / "sib200" / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def test_local_files_cover_the_languages_they_are_for(tmp_path: Path):
    write_tsv(tmp_path, "nb_test.tsv", ["1\ttravel\tEn tekst."])
    write_tsv(tmp_path, "da.tsv", ["1\ttravel\tEn tekst."])
    assert sib200.languages(options(data_root=str(tmp_path))) == ("da", "no")
    assert len(sib200.languages(options())) == 15
    (item,) = sib200.load("no", options(data_root=str(tmp_path)))._documents["sib200"].values()
    assert item["text"] == "En tekst."


def test_a_limit_takes_the_same_items_in_every_language_not_the_first_ones(tmp_path: Path):
    rows = [f"{i}\t{'travel' if i < 50 else 'health'}\tText {i}" for i in range(100)]
    write_tsv(tmp_path, "da_test.tsv", rows)
    write_tsv(tmp_path, "sv_test.tsv", rows[::-1])
    few = options(data_root=str(tmp_path))
    few = SuiteOptions(**{**few.__dict__, "limit": 12})
    picked = [
        {x["index_id"]: x["category"] for x in sib200.load(code, few)._documents["sib200"].values()}
        for code in ("da", "sv")
    ]
    assert picked[0] == picked[1]
    assert len(picked[0]) == 12
    assert set(picked[0].values()) == {"travel", "health"}


def test_a_limit_takes_the_same_arena_prompts_in_every_language_of_all_categories(tmp_path: Path):
    (tmp_path / "m-arena-hard").mkdir()
    header = "question_id\tcategory\tsubcategory\tprompt\tlanguage"
    rows = [f"q{i}\t{'hard_prompt' if i < 50 else 'creative_writing'}\tx\tPrompt {i}\tl" for i in range(100)]
    for code, lines in (("da", rows), ("mt", rows[::-1])):
        (tmp_path / "m-arena-hard" / f"{code}.tsv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    few = SuiteOptions("m-arena-hard", 12, None, 0, data_root=str(tmp_path))
    items = {code: m_arena_hard.load(code, few)._items for code in ("da", "mt")}
    assert {x.source_id for x in items["da"]} == {x.source_id for x in items["mt"]}
    assert len(items["da"]) == 12
    assert {x.task for x in items["da"]} == {"hard_prompt", "creative_writing"}


def test_the_data_of_a_task_are_read_once_whatever_the_number_of_systems(
    tmp_path: Path, write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    """Here the base model, too, is loaded for each of them."""
    for code in ("da", "mt"):
        write_tsv(tmp_path, f"{code}_test.tsv", ["1\ttravel\tText", "2\thealth\tText"])
    reads: Counter[str] = Counter()

    def counted(source: Source, *arguments, **more):
        reads[source.config or ""] += 1
        return load(source, *arguments, **more)

    monkeypatch.setattr(hub_suite, "load", counted)
    systems = [{"name": name, "model": "croco-nano", "batch_tokens": 512 + i} for i, name in enumerate("ab")]
    config = write_config(
        languages=["da", "mt"], systems=systems, suites=["sib200"], judges=None, data_root=str(tmp_path)
    )
    execute(read_config(config), tmp_path / "run", Console(file=io.StringIO()))
    assert len(list((tmp_path / "run" / "cells").glob("*/sib200/*/scores.parquet"))) == 4
    assert reads == {"dan_Latn": 1, "mlt_Latn": 1}


@pytest.mark.parametrize(
    ("row", "header", "words"),
    [
        ("1\ttravel\tText", "index_id\ttopic\ttext", "column 'category' is missing (it has: index_id, topic, text)"),
        ("1\tcooking\tText", "index_id\tcategory\ttext", "row 1: 'category' is 'cooking', which is none of science/"),
    ],
)
def test_changed_local_data_are_one_sentence(tmp_path: Path, row: str, header: str, words: str):
    write_tsv(tmp_path, "da_test.tsv", [row], header)
    with pytest.raises(DataError, match=r"^data set ") as error:
        _ = sib200.load("da", options(data_root=str(tmp_path))).n_items
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_few_shot_examples_that_are_not_there_are_named(tmp_path: Path):
    write_tsv(tmp_path, "da_test.tsv", ["1\ttravel\tText"])
    with pytest.raises(DataError, match="has no split 'train'"):
        _ = sib200.load("da", SuiteOptions("sib200", None, 3, 0, data_root=str(tmp_path))).n_items
    write_tsv(tmp_path, "da_train.tsv", ["2\ttravel\tText"])
    with pytest.raises(DataError, match=r"wants 3 few-shot examples .* hold 1"):
        _ = sib200.load("da", SuiteOptions("sib200", None, 3, 0, data_root=str(tmp_path))).n_items


PARALLEL_QUESTION = "link\tquestion_number\tflores_passage\tquestion\tmc_answer1\tmc_answer2\tmc_answer3\tmc_answer4"


def test_an_item_is_never_its_own_example(tmp_path: Path):
    """Where lm-eval leaves the item out of the examples, they may come from the evaluated split; else few-shot is
    refused."""
    (tmp_path / "multiblimp").mkdir()
    (tmp_path / "multiblimp" / "de.tsv").write_text("sen\twrong_sen\nA.\tB.\nC.\tD.\n", encoding="utf-8")
    (tmp_path / "belebele").mkdir()
    rows = [f"l{i}\t1\tp{i}\tq{i}\ta\tb\tc\td\t2" for i in range(4)]
    text = "\n".join([f"{PARALLEL_QUESTION}\tcorrect_answer_num", *rows])
    (tmp_path / "belebele" / "de.tsv").write_text(f"{text}\n", encoding="utf-8")
    shots = {x: SuiteOptions(x, None, 2, 0, data_root=str(tmp_path)) for x in ("multiblimp", "belebele")}
    with pytest.raises(DataError, match=r"an item might be its own example: set `few_shot: 0`"):
        _ = hub.multiblimp.load("de", shots["multiblimp"]).n_items
    (task,) = hub.belebele.load("de", shots["belebele"])._tasks.values()
    for document in task.eval_docs:
        assert task.fewshot_context(document, 2).count(document["flores_passage"]) == 1


def test_galician_xnli_is_that_of_lm_eval(monkeypatch: pytest.MonkeyPatch):
    """lm-eval's own file imports a module that transformers has no longer; here it gets an empty one, and another in
    place of one that is slow to import and serves other tasks."""
    metrics, unused = ModuleType("metrics"), ModuleType("squad_metrics")
    monkeypatch.setattr(metrics, "squad_metrics", unused, raising=False)
    monkeypatch.setattr("transformers.data.metrics", metrics, raising=False)
    monkeypatch.setitem(sys.modules, "evaluate", unused)
    monkeypatch.setitem(sys.modules, "transformers.data.metrics", metrics)
    monkeypatch.setitem(sys.modules, "transformers.data.metrics.squad_metrics", unused)
    rows = [
        ("Ela ( aínda ) canta .", "Ela canta", "entailment"),
        ("Chove?", "A choiva cae.", "neutral"),
        ("É tarde", "é cedo..", "contradiction"),
    ]
    columns = dict(zip(("sentence1", "sentence2", "gold_label"), zip(*rows, strict=True), strict=True))
    data = {"test": Dataset.from_dict({k: list(v) for k, v in columns.items()})}
    manager = own_tasks(("xnli", "galician_bench"), TASKS / "published" / "yaml")
    group = [{"task": x, "custom_dataset": lambda **_: data} for x in ("xnli_gl", "croco_xnli_gl")]
    theirs, ours = manager.load([{"group": "both", "task": group}])["tasks"].values()
    assert list(ours.eval_docs) == list(theirs.eval_docs)
    for method in ("doc_to_text", "doc_to_choice", "doc_to_target"):
        assert [getattr(ours, method)(x) for x in ours.eval_docs] == [
            getattr(theirs, method)(x) for x in theirs.eval_docs
        ]
    assert {k: ours.get_config(k) for k in SHAPING} == {k: theirs.get_config(k) for k in SHAPING}


def test_jsonl_parquet_and_headerless_files_are_read(tmp_path: Path):
    folder = tmp_path / "own"
    folder.mkdir()
    source = Source("o/n", columns=("question", "answer_number"), headerless=("question", "answer_number"))
    local = LocalFiles(tmp_path, "own", "task", "de")
    (folder / "de.tsv").write_text("Was ist 1+1?\t2\n", encoding="utf-8")
    assert load(source, local)["test"][0] == {"question": "Was ist 1+1?", "answer_number": "2"}
    (folder / "de_test.jsonl").write_text('{"question": "?", "answer_number": 3}\n', encoding="utf-8")
    assert load(source, local)["test"][0]["answer_number"] == 3
    (folder / "task").mkdir()
    (folder / "task" / "de_test.jsonl").write_text('{"question": "?", "answer_number": 4}\n', encoding="utf-8")
    assert load(source, local)["test"][0]["answer_number"] == 4
    (folder / "task" / "de_test.jsonl").write_text("{not json\n", encoding="utf-8")
    with pytest.raises(DataError, match="can't be read"):
        load(source, local)


def test_sib200_and_mgsm_run_on_the_published_files_in_every_language(cli, write_config, shared_data: Path):
    """All 15 languages, few items of each; `benchmarks/README.md` has the command for all 204."""
    write_config(
        name="sib.yaml",
        languages=["all"],
        suites=[{"name": "sib200", "limit": 4}, {"name": "mgsm", "limit": 2}],
        judges=None,
        systems=[{"name": "base", "model": "croco-nano"}],
        data_root=str(shared_data),
    )
    done = cli("run", "sib.yaml")
    assert done.returncode == 0, done.stderr
    assert "gap: mgsm, da it nl no pt sv cy ga gl mt fi: the suite has no data in this language" in done.stdout
    assert done.stdout.count("gap:") == 1
