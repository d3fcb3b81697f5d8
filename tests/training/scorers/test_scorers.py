"""Scorers: rewards against independent computations, and what they say of rows they can't score."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from croco_eval.harness import registry
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.backends.hf_rewards import HfRewardModel
from croco_eval.harness.errors import DataError, ModelError, UserError
from croco_eval.training.config import ScorerConfig
from croco_eval.training.records import Candidate, Prompt, Reward
from croco_eval.training.scorers.base import Outcome, Rated, Scorer, make_scorer
from croco_eval.training.stages.folder import Stage
from croco_eval.training.stages.score import score
from helpers.adapters import save_adapter
from helpers.reward_models import save_reward_model
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

QUESTIONS = {"en": "Tell me about Denmark.", "da": "Fortæl mig om Danmark."}
ANSWERS = {
    "en": ["Denmark is a country. Its currency is the krone.", "The capital is Copenhagen.", ""],
    "da": ["Danmark er et land. Valutaen er danske kroner.", "Danmark", "", "kroner " * 4, "Danmark " * 1200],
}


def row(
    language: str, answer: str, number: int = 0, finish: str = "stop", kind: Any = "generation", source="s"
) -> Rated:
    prompt = Prompt(f"{source}/{language}", source, language, QUESTIONS[language])
    return Rated(prompt, Candidate(prompt.prompt_id, source, language, number, answer, finish, kind, "base"))


ROWS = [row(code, x, i) for code, texts in ANSWERS.items() for i, x in enumerate(texts)]


def outcomes(scorer: Scorer, rows: list[Rated], done: int = 0) -> list[Outcome]:
    try:
        return [x for batch in scorer.score(rows, done) for x in batch]
    finally:
        scorer.close()


def make(kind: str, **options: Any) -> Scorer:
    return make_scorer(ScorerConfig(name="mine", scorer=kind, options=options))


class Plain:
    """Sums of log-probabilities the plain way: one text at a time, no batch, no cache."""

    def __init__(self, folder: Path, adapter: Path | None = None) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        if adapter:
            self.model = PeftModel.from_pretrained(self.model, str(adapter)).eval()

    def logprob(self, context: str, continuation: str) -> tuple[float, int]:
        ids = [self.tokenizer.encode(x, add_special_tokens=False) for x in (context, context + continuation)]
        head, whole = len(ids[0]), torch.tensor([ids[1]])
        with torch.inference_mode():
            logprobs = self.model(input_ids=whole).logits[0].log_softmax(-1)
        found = [float(logprobs[i - 1, whole[0, i]]) for i in range(head, whole.shape[1])]
        return sum(found), len(found)


def chat(question: str) -> str:
    return f"<|user|>{question}<|end|><|assistant|>"


@pytest.fixture(scope="module")
def plain(nano: Path) -> Plain:
    return Plain(nano)


@pytest.fixture(scope="module")
def tuned(nano: Path, nano_sft: Path) -> Plain:
    return Plain(nano, nano_sft)


def test_implicit_reward_is_the_log_ratio_of_the_whole_turn(plain: Plain, tuned: Plain):
    found = outcomes(make("implicit", model="croco-nano", adapter="croco-nano-sft", beta=0.2), ROWS)
    for x, (reward, unscored) in zip(ROWS, found, strict=True):
        if not x.candidate.answer:
            assert (reward, unscored) == (None, "empty answer")
        elif len(x.candidate.answer) > 2000:
            assert (reward, unscored) == (None, "longer than the model's window")
        else:
            turn = chat(x.prompt.prompt), f"{x.candidate.answer}<|end|>"
            assert reward == pytest.approx(0.2 * (tuned.logprob(*turn)[0] - plain.logprob(*turn)[0]), abs=2e-4)
    assert sum(x is not None for x, _ in found) == 5


def test_the_reference_of_an_adapter_that_changes_its_base_is_the_base_itself(tmp_path: Path, nano: Path, plain: Plain):
    adapter = save_adapter(tmp_path / "pissa", nano, init_lora_weights="pissa")
    found = outcomes(make("implicit", model="croco-nano", adapter=str(adapter)), [ROWS[0]])
    turn, tuned = (chat(ROWS[0].prompt.prompt), f"{ROWS[0].candidate.answer}<|end|>"), Plain(nano, adapter)
    assert found[0][0] == pytest.approx(0.1 * (tuned.logprob(*turn)[0] - plain.logprob(*turn)[0]), abs=2e-4)


def test_an_adapter_with_its_own_template_does_not_read_the_same_text(tmp_path: Path, nano_sft: Path):
    shutil.copytree(nano_sft, tmp_path / "tuned")
    (tmp_path / "tuned" / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    with pytest.raises(ModelError, match="would not read the same text"):
        outcomes(make("implicit", model="croco-nano", adapter=str(tmp_path / "tuned")), [ROWS[0]])


def test_an_answer_that_was_cut_off_has_no_end_of_turn(plain: Plain, tuned: Plain):
    cut = row("da", "Danmark er et", finish="length")
    ((reward, _),) = outcomes(make("implicit", model="croco-nano", adapter="croco-nano-sft"), [cut])
    turn = chat(QUESTIONS["da"]), "Danmark er et"
    assert reward == pytest.approx(0.1 * (tuned.logprob(*turn)[0] - plain.logprob(*turn)[0]), abs=1e-4)


def test_icr_puts_the_english_prompt_before_answers_in_other_languages(plain: Plain, tuned: Plain):
    options = {"model": "croco-nano", "adapter": "croco-nano-sft", "instruction": "english"}
    rows = [row("en", "It is a country."), row("da", "Det er et land."), row("da", "Et land.", source="other")]
    found = outcomes(make("implicit", **options), rows)
    turn = chat(f"Please answer in Danish.\n{QUESTIONS['en']}"), "Det er et land.<|end|>"
    assert found[1][0] == pytest.approx(0.1 * (tuned.logprob(*turn)[0] - plain.logprob(*turn)[0]), abs=1e-4)
    turn = chat(QUESTIONS["en"]), "It is a country.<|end|>"
    assert found[0][0] == pytest.approx(0.1 * (tuned.logprob(*turn)[0] - plain.logprob(*turn)[0]), abs=1e-4)
    assert found[2] == (None, "the prompt has no English wording")


def test_a_tuned_model_may_stand_beside_the_reference_it_came_from(tmp_path: Path, nano: Path, nano_sft: Path):
    merged: Any = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32), str(nano_sft)
    )
    merged.merge_and_unload().save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(nano).save_pretrained(tmp_path)
    rows = [x for x in ROWS if x.candidate.answer]
    beside = outcomes(make("implicit", model=str(tmp_path), reference="croco-nano"), rows)
    adapter = outcomes(make("implicit", model="croco-nano", adapter="croco-nano-sft"), rows)
    assert [x for x, _ in beside] == pytest.approx([x for x, _ in adapter], abs=1e-3)


TRANSLATE = "Into English from {language} ({code}): {text}"


def test_translation_reward_is_the_mean_log_likelihood_of_the_english_answer(plain: Plain):
    found = outcomes(make("translation", model="croco-nano", template=TRANSLATE), ROWS)
    for x, (reward, unscored) in zip(ROWS, found, strict=True):
        if x.candidate.language == "en":
            assert (reward, unscored) == (None, "English answers are what the others are measured by")
        elif reward is not None:
            context = chat(f"Into English from Danish (da): {x.candidate.answer}")
            total, n = plain.logprob(context, ANSWERS["en"][0])
            assert reward == pytest.approx(total / n, abs=1e-4)
    assert [x for _, x in found[3:]] == [None, None, "empty answer", None, "longer than the model's window"]


def test_several_english_answers_count_alike_gold_first_and_cut_off_last(plain: Plain):
    english = [
        row("en", "It is a count", 0, finish="length"),
        row("en", "A country.", 1),
        row("en", "A country.", 2),
        row("en", "A kingdom.", 3),
        row("en", "Denmark is a country.", 9, kind="gold"),
    ]
    rows = [*english, row("da", "Et land.")]

    def reward(*answers: str) -> float:
        found = [plain.logprob(chat("Into English from Danish (da): Et land."), x) for x in answers]
        return sum(total / n for total, n in found) / len(found)

    gold, first, second, cut = "Denmark is a country.", "A country.", "A kingdom.", "It is a count"
    for number, used in ((1, [gold]), (2, [gold, first]), (9, [gold, first, second, cut])):
        found = outcomes(make("translation", model="croco-nano", template=TRANSLATE, answers=number), rows)
        assert found[-1][0] == pytest.approx(reward(*used), abs=1e-4)


def test_translation_without_english_answers_says_what_to_do():
    with pytest.raises(DataError, match="add en to languages"):
        outcomes(make("translation", model="croco-nano"), [row("da", "Et land.")])
    rows = [row("en", "A country.", source="other"), row("da", "Et land.")]
    assert outcomes(make("translation", model="croco-nano"), rows)[1] == (None, "no English answer to the same prompt")


class Silent:
    def begin(self, name: str) -> None: ...

    def answers(self, done: int, expected: int) -> None: ...

    def end(self) -> None: ...


def test_scoring_that_goes_on_knows_the_rows_before(tmp_path: Path):
    """The English answer that a reward depends on was scored before the interruption."""
    rows = [row("en", "A country."), row("da", "Et land.", 0), row("da", "Danmark", 1)]
    prompts = [rows[0].prompt, rows[1].prompt]
    candidates = [x.candidate for x in rows]
    whole, again = Stage(tmp_path, "score whole"), Stage(tmp_path, "score again")
    score(make("translation", model="croco-nano"), "whole", prompts, candidates, whole, Silent())
    score(make("translation", model="croco-nano"), "again", prompts, candidates, again, Silent())
    first = again.read(Reward)
    info = again.seal_info()
    (again.path / "cell.json").unlink()
    again.begin(info["fingerprint"])
    lines = [json.dumps(vars(x)) + "\n" for x in first[:2]]
    (again.path / "rewards.jsonl").write_text("".join(lines))
    score(make("translation", model="croco-nano"), "again", prompts, candidates, again, Silent())
    assert [x.reward for x in again.read(Reward)][1:] == pytest.approx([x.reward for x in whole.read(Reward)][1:])


def test_reward_model_gives_its_raw_logits(tmp_path: Path, nano: Path):
    folder = save_reward_model(tmp_path, nano)
    talks = [
        [{"role": "user", "content": x.prompt.prompt}, {"role": "assistant", "content": x.candidate.answer}]
        for x in ROWS
    ]
    expected = HfRewardModel(ModelSpec(str(folder))).rewards(talks)
    scorer = make("reward-model", model=str(folder))
    found = outcomes(scorer, ROWS)
    assert [x for x, _ in found[:-1]] == pytest.approx(expected[:-1], abs=1e-5)
    assert found[-1] == (None, "longer than the model's window")
    again = outcomes(scorer, ROWS, done=6)  # a scorer that was closed loads its model again
    assert [x for x, _ in again[:-1]] == pytest.approx([x for x, _ in found[6:-1]], abs=1e-5)


def test_the_reward_model_reads_what_a_reader_sees(tmp_path: Path, nano: Path):
    scorer = make("reward-model", model=str(save_reward_model(tmp_path, nano)))
    answer = "Danmark er et land."
    plain, reasoned = outcomes(scorer, [row("da", answer), row("da", f"<think>A country, so: land.</think>\n{answer}")])
    assert reasoned[0] == pytest.approx(plain[0], abs=1e-5)


def test_a_model_with_two_logits_is_refused(tmp_path: Path, nano: Path):
    scorer = make("reward-model", model=str(save_reward_model(tmp_path, nano, num_labels=2)))
    with pytest.raises(ModelError, match=r"gives 2 logits; a reward model .* gives exactly one"):
        outcomes(scorer, ROWS)


def test_a_template_that_fails_on_a_row_names_it(tmp_path: Path, nano: Path):
    import shutil

    shutil.copytree(nano, tmp_path / "strict")
    template = (
        "{%- for m in messages -%}{%- if 'Denmark' in m['content'] -%}{{ raise_exception('not this') }}{%- endif -%}"
    )
    (tmp_path / "strict/chat_template.jinja").write_text(template + "{{ m['content'] }}{%- endfor -%}")
    rows = [row("da", "Et land."), row("en", "A country.", source="t")]
    scorer = make("implicit", model=str(tmp_path / "strict"), reference="croco-nano")
    with pytest.raises(ModelError, match=r"prompt 't/en': the chat template of .* failed: not this"):
        outcomes(scorer, rows)
    folder = save_reward_model(tmp_path / "rm", nano)
    (folder / "chat_template.jinja").write_text(template + "{{ m['content'] }}{%- endfor -%}")
    with pytest.raises(
        ModelError, match=r"failed: not this \(in the conversation that begins 'Tell me about Denmark\.'\)"
    ):
        outcomes(make("reward-model", model=str(folder)), rows)


def test_a_template_that_rewrites_the_prompt_leaves_rows_unscored(tmp_path: Path, nano: Path):
    import shutil

    shutil.copytree(nano, tmp_path / "odd")
    (tmp_path / "odd/chat_template.jinja").write_text("{{ messages | length }}{{ messages[-1]['content'] }}")
    scorer = make("implicit", model=str(tmp_path / "odd"), reference="croco-nano")
    assert outcomes(scorer, [row("da", "Et land.")]) == [
        (None, "the chat template writes the prompt differently once an answer follows")
    ]


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("implicit", {"model": "croco-nano"}, "name an adapter, or the reference"),
        ("implicit", {"model": "croco-nano", "adapter": "croco-nano-sft", "beta": 0}, "option 'beta'"),
        ("implicit", {"model": "croco-nano", "adaptor": "x"}, "did you mean 'adapter'"),
        ("translation", {"model": "croco-nano", "template": "Translate."}, "must hold {text}"),
        ("reward-model", {"model": "croco-nano", "backend": "vlm"}, "option 'backend'"),
        ("reward-model", {"model": "croco-nano", "backend": "vllm", "device": "cpu"}, "vLLM chooses its device itself"),
        ("reward-model", {"model": "croco-nano", "engine_options": {"a": 1}}, "engine_options are for backend vllm"),
    ],
)
def test_wrong_options_are_refused(kind: str, options: dict[str, Any], said: str):
    with pytest.raises(UserError) as refused:
        make(kind, **options)
    assert said in str(refused.value)


def test_an_adapter_of_another_base_is_refused(tmp_path: Path, nano: Path):
    import shutil

    shutil.copytree(nano, tmp_path / "another-model")
    with pytest.raises(ModelError, match="was trained on 'croco-nano'"):
        make("implicit", model=str(tmp_path / "another-model"), adapter="croco-nano-sft")


def test_identities_hold_what_changes_a_reward(nano: Path):
    base = {"model": "croco-nano", "adapter": "croco-nano-sft"}
    first = make("implicit", **base).identity
    assert make("implicit", **base, batch_tokens=64).identity == first
    assert make("implicit", **base, beta=0.5).identity != first
    assert make("implicit", **base, instruction="english").identity != first
    assert (
        make("translation", model="croco-nano").identity != make("translation", model="croco-nano", answers=2).identity
    )


def test_all_scorers_are_registered():
    assert {"implicit", "reference", "reward-model", "translation"} <= set(registry.names("scorers"))
