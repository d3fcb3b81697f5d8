"""The gateway: our item values are those of plain lm-eval on the same YAML and the same model."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from croco_eval.harness.api.answerer import Answerer
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.suite import SuiteOptions
from croco_eval.harness.backends.hf import HfBackend
from croco_eval.harness.errors import DataError
from croco_eval.harness.store.files import AppendLog
from croco_eval.tasks.lm_eval.adapter import LmEvalTask, TaskSpec, task_manager
from croco_eval.tasks.locale import suite as locale
from lm_eval import evaluator
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

OPTIONS = SuiteOptions(name="locale", limit=8, few_shot=None, seed=0)


@pytest.fixture(scope="module")
def backend(nano: Path) -> HfBackend:
    return HfBackend(ModelSpec(str(nano)), log=lambda message: None)


def answerer(backend: HfBackend, folder: Path, chat_template: bool = True) -> Answerer:
    return Answerer(
        backend.engine(None), AppendLog(folder / "log.jsonl"), chat_template, {}, lambda done, expected: None
    )


def plain_lm_eval(nano: Path, task: LmEvalTask, chat_template: bool) -> dict[tuple[str, str, int], float]:
    """(task, metric, document) -> value by lm-eval alone, with its own model class."""
    model = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32)
    lm = HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(nano), batch_size=8)
    tasks = {"tasks": task._tasks, "groups": {}, "group_map": {}}
    results = evaluator.evaluate(
        lm, tasks, bootstrap_iters=0, apply_chat_template=chat_template, fewshot_as_multiturn=chat_template
    )
    return {
        (name, metric, sample["doc_id"]): float(sample[metric])
        for name, samples in results["samples"].items()
        for sample in samples
        for metric in sample["metrics"]
    }


@pytest.mark.parametrize(
    ("language", "few_shot", "chat_template"), [("de", 0, True), ("da", 2, True), ("en", 1, False)]
)
def test_item_values_equal_those_of_plain_lm_eval(
    backend: HfBackend, nano: Path, tmp_path: Path, language: str, few_shot: int, chat_template: bool
):
    options = dataclasses.replace(OPTIONS, few_shot=few_shot)
    result = locale.locale_suite.load(language, options).run(answerer(backend, tmp_path, chat_template))
    expected = plain_lm_eval(nano, locale.locale_suite.load(language, options), chat_template)
    numbers: dict[tuple[str, str], int] = {}
    found = {}
    for score in result.scores:
        key = (score.task, score.metric)
        number = numbers.setdefault(key, 0)
        numbers[key] += 1
        found[f"locale_{score.task}", score.metric, number] = score.value
    assert {(name.removeprefix("locale_"), m, d): v for (name, m, d), v in expected.items()} == {
        (name.removeprefix("locale_"), m, d): v for (name, m, d), v in found.items()
    }


@pytest.fixture(scope="module", params=[None, "without BOS", "with BOS"])
def with_bos(request: pytest.FixtureRequest, nano: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool]:
    """croco-nano with a tokenizer that puts BOS in front, and whether to use its chat template, which writes it."""
    folder = tmp_path_factory.mktemp("bos")
    shutil.copytree(nano, folder, dirs_exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"bos_token": "<|system|>"})
    number = tokenizer.convert_tokens_to_ids("<|system|>")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|system|> $A", pair="<|system|> $A $B", special_tokens=[("<|system|>", number)]
    )
    if request.param == "with BOS":
        tokenizer.chat_template = "{{ bos_token }}" + str(tokenizer.chat_template)
    for file in folder.glob("chat_template*"):
        file.unlink()
    tokenizer.save_pretrained(folder)
    return folder, request.param is not None


def test_bos_is_as_with_plain_lm_eval_but_for_a_template_that_leaves_it_out(
    with_bos: tuple[Path, bool], nano: Path, tmp_path: Path
):
    """lm-eval puts a BOS before a chat whose template has none; a chat is read as the template writes it."""
    folder, chat_template = with_bos
    backend = HfBackend(ModelSpec(str(folder)), log=lambda message: None)
    answering = answerer(backend, tmp_path, chat_template)
    options = dataclasses.replace(OPTIONS, few_shot=1)
    result = locale.locale_suite.load("en", options).run(answering)
    leaves_out = chat_template and "bos_token" not in str(backend.tokenizer.chat_template)
    expected = plain_lm_eval(nano if leaves_out else folder, locale.locale_suite.load("en", options), chat_template)
    assert sorted(x.value for x in result.scores if x.value is not None) == sorted(expected.values())
    prompt = answering.generations[0].prompt
    assert prompt.startswith("<|system|>") == (chat_template and not leaves_out)
    assert not any("\ufdd0" <= x <= "\ufdd3" for x in prompt)


def test_a_prompt_that_is_too_long_is_counted_or_its_item_unscored(backend: HfBackend, tmp_path: Path):
    (tmp_path / "own.py").write_text(
        "from datasets import Dataset\n"
        "def load(**_):\n    rows = [{'q': 'rain and wind ' * n, 'a': 'b', 'c': ['b', 'd']} for n in (1, 900)]\n"
        "    return {'test': Dataset.from_list(rows)}\n"
    )
    common = 'custom_dataset: !function own.load\ntest_split: test\ndoc_to_text: "{{q}}"\n'
    (tmp_path / "a.yaml").write_text(
        f'task: a\n{common}doc_to_target: "{{{{a}}}}"\nmetric_list: [{{metric: exact_match}}]\n'
        "output_type: generate_until\ngeneration_kwargs: {max_gen_toks: 4}\n"
    )
    (tmp_path / "b.yaml").write_text(
        f"task: b\n{common}output_type: multiple_choice\ndoc_to_target: 0\ndoc_to_choice: c\n"
        "metric_list: [{metric: acc}]\n"
    )
    for truncate in ("cut", "refuse"):
        for name in ("a", "b"):
            task = LmEvalTask(
                task_manager(tmp_path), {name: TaskSpec(name)}, version="1", limit=None, few_shot=0, language="en"
            )
            log = AppendLog(tmp_path / f"{truncate}-{name}.jsonl")
            asked = Answerer(backend.engine(None), log, True, {}, lambda done, expected: None, truncate)
            scores = task.run(asked).scores
            assert scores[0].value is not None
            assert any(x.n_cut for x in asked.generations if x.item_id == scores[-1].item_id)
            assert not [x.n_cut for x in asked.generations if x.item_id == scores[0].item_id and x.n_cut]
            if truncate == "refuse":
                assert scores[-1].value is None
                assert str(scores[-1].unscored).startswith("the prompt is longer than the model's window by ")
            else:
                assert (scores[-1].value is not None, scores[-1].unscored) == (True, None)


def test_each_item_has_one_primary_score(backend: HfBackend, tmp_path: Path):
    result = locale.locale_suite.load("ga", OPTIONS).run(answerer(backend, tmp_path))
    primary = [x for x in result.scores if x.primary]
    assert sorted(x.item_id for x in primary) == sorted(x.item_id for x in result.items)
    assert {x.metric for x in primary} == {"acc", "exact_match"}
    assert {x.kind for x in result.scores} == {"binary"}


def test_identity_changes_with_seed_size_few_shot_and_language():
    def identity(language: str = "de", **changes) -> str:
        return str(locale.locale_suite.load(language, dataclasses.replace(OPTIONS, **changes)).identity)

    identities = [identity(), identity(seed=1), identity(limit=9), identity(few_shot=1), identity("da")]
    assert len(set(identities)) == len(identities)
    assert identity() == identities[0]


def test_prompts_that_ask_for_other_things_have_other_identities(tmp_path: Path):
    """The text of a template is part of a task's identity."""
    (tmp_path / "own.py").write_text(
        "from datasets import Dataset\ndef load(**_):\n    return {'test': Dataset.from_list([{'q': 'a', 'a': 'b'}])}\n"
    )
    digests = []
    for text in ("{{q}}", "{{q}}?"):
        (tmp_path / "own.yaml").write_text(
            f'task: own\ncustom_dataset: !function own.load\ntest_split: test\ndoc_to_text: "{text}"\n'
            'doc_to_target: "{{a}}"\nmetric_list: [{metric: exact_match}]\n'
        )
        manager = task_manager(tmp_path)
        task = LmEvalTask(manager, {"own": TaskSpec("own")}, version="1", limit=None, few_shot=None, language="en")
        digests.append(task.identity["prompt"])
    assert digests[0] != digests[1]


def test_with_several_filters_only_the_first_ones_primary_metric_counts(backend: HfBackend, tmp_path: Path):
    (tmp_path / "own.py").write_text(
        "from datasets import Dataset\n"
        "def load(**_):\n    return {'test': Dataset.from_list([{'q': 'a', 'a': 'b'}] * 3)}\n"
    )
    (tmp_path / "own.yaml").write_text(
        'task: own\ncustom_dataset: !function own.load\ntest_split: test\ndoc_to_text: "{{q}}"\n'
        'doc_to_target: "{{a}}"\nmetric_list: [{metric: exact_match}]\n'
        'generation_kwargs: {max_gen_toks: 4, until: ["."]}\n'
        "filter_list:\n"
        "  - {name: plain, filter: [{function: take_first}]}\n"
        "  - {name: upper, filter: [{function: uppercase}, {function: take_first}]}\n"
    )
    task = LmEvalTask(
        task_manager(tmp_path), {"own": TaskSpec("own")}, version="1", limit=None, few_shot=None, language="en"
    )
    scores = task.run(answerer(backend, tmp_path)).scores
    assert {x.metric for x in scores} == {"exact_match,plain", "exact_match,upper"}
    assert [x.metric for x in scores if x.primary] == ["exact_match,plain"] * 3


def test_whole_document_perplexity_is_refused_in_words(backend: HfBackend, tmp_path: Path):
    (tmp_path / "own.py").write_text(
        "from datasets import Dataset\ndef load(**_):\n    return {'test': Dataset.from_list([{'q': 'a'}])}\n"
    )
    (tmp_path / "own.yaml").write_text(
        "task: own\ncustom_dataset: !function own.load\ntest_split: test\noutput_type: loglikelihood_rolling\n"
        'doc_to_text: ""\ndoc_to_target: "{{q}}"\nmetric_list: [{metric: word_perplexity}]\n'
    )
    task = LmEvalTask(
        task_manager(tmp_path), {"own": TaskSpec("own")}, version="1", limit=None, few_shot=None, language="en"
    )
    with pytest.raises(DataError, match="loglikelihood_rolling"):
        task.run(answerer(backend, tmp_path, chat_template=False))
