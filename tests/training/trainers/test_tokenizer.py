"""What TRL's trainers read: the tokens that everything else reads, and no special token from a prompt or an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from croco_eval.harness.text.encoding import encode, render
from croco_eval.training.trainers.common import conversation, load_tokenizer, reply
from croco_eval.training.trainers.dpo import preference_rows
from croco_eval.training.trainers.drift import _encode as drift_tokens
from croco_eval.training.trainers.tokenizer import careful
from datasets import Dataset
from helpers.tokenizers import ADDS, KINDS, make_tokenizer, special_strings
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

PAIRS = [("Tell me about Oslo.", " It is a city. ", "No."), ("Why?", "", "Because.")]


def expected(tokenizer: Any, prompt: str, answer: str | None = None) -> list[int]:
    messages = conversation(prompt) + ([] if answer is None else reply(answer))
    return encode(tokenizer, render(tokenizer, messages, ask=answer is None))


def hostile(tokenizer: Any) -> list[tuple[str, str, str]]:
    return [(f"Hi {x}", f"a{x}b", f"{x}{x}") for x in special_strings(tokenizer)]


@pytest.fixture(params=["croco-nano", *KINDS])
def tokenizer(request: pytest.FixtureRequest, nano: Path) -> Any:
    if request.param == "croco-nano":
        return load_tokenizer(nano)
    return careful(make_tokenizer(request.param, adds=ADDS[KINDS.index(request.param) % 4]))


def tiny(tokenizer: Any, kind: Any = LlamaForCausalLM, **more: Any) -> Any:
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    return kind(LlamaConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **size, **more))


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    return {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "report_to": [], "max_length": 1000}


def test_sft_reads_the_same_tokens(tokenizer: Any, arguments: dict[str, Any]):
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    pairs = [*PAIRS, *hostile(tokenizer)]
    rows = [{"prompt": conversation(x), "completion": reply(y)} for x, y, _ in pairs]
    made = SFTTrainer(
        model=tiny(tokenizer),
        args=SFTConfig(**arguments, completion_only_loss=True),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    assert made.train_dataset is not None
    found = list(made.train_dataset)
    assert [x["input_ids"] for x in found] == [expected(tokenizer, x, y) for x, y, _ in pairs]
    for (prompt, answer, _), row in zip(pairs, found, strict=True):
        ids, begin = drift_tokens(tokenizer, prompt, answer)
        assert row["input_ids"] == ids
        assert row["labels"] == [-100] * begin + ids[begin:]


def test_dpo_and_simpo_read_the_same_tokens(tokenizer: Any, arguments: dict[str, Any]):
    from croco_eval.training.trainers.simpo import AsRendered
    from trl.experimental.cpo import CPOConfig
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    pairs = [*PAIRS, *hostile(tokenizer)]
    data = Dataset.from_list(preference_rows(pairs))
    made = DPOTrainer(
        model=tiny(tokenizer),
        ref_model=tiny(tokenizer),
        args=DPOConfig(**arguments),
        train_dataset=data,
        processing_class=tokenizer,
    )
    for (prompt, chosen, rejected), row in zip(pairs, made.train_dataset, strict=True):
        assert row["prompt_ids"] + row["chosen_ids"] == expected(tokenizer, prompt, chosen)
        assert row["prompt_ids"] + row["rejected_ids"] == expected(tokenizer, prompt, rejected)
    simpo: Any = AsRendered(
        model=tiny(tokenizer),
        args=CPOConfig(**arguments, loss_type="simpo", cpo_alpha=0.0, remove_unused_columns=False),
        train_dataset=data,
        processing_class=tokenizer,
    )
    for (prompt, chosen, rejected), row in zip(pairs, simpo.train_dataset, strict=True):
        for name, answer in (("chosen", chosen), ("rejected", rejected)):
            ids, begin = drift_tokens(tokenizer, prompt, answer)
            assert row[f"{name}_input_ids"] == ids == expected(tokenizer, prompt, answer)
            assert row[f"{name}_labels"] == [-100] * begin + ids[begin:]


def test_reward_training_reads_the_same_tokens(tokenizer: Any, arguments: dict[str, Any]):
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    pairs = [*PAIRS, *hostile(tokenizer)]
    made: Any = RewardTrainer(
        model=tiny(tokenizer, LlamaForSequenceClassification, num_labels=1),
        args=RewardConfig(**arguments),
        train_dataset=Dataset.from_list(preference_rows(pairs)),
        processing_class=tokenizer,
    )
    for (prompt, chosen, rejected), row in zip(pairs, made.train_dataset, strict=True):
        assert row["chosen_ids"] == expected(tokenizer, prompt, chosen)
        assert row["rejected_ids"] == expected(tokenizer, prompt, rejected)


def test_online_trainers_show_the_same_prompts(tokenizer: Any):
    """As GRPO encodes prompts, and as online DPO renders and then encodes them."""
    from trl.data_utils import maybe_apply_chat_template

    prompts = [x for x, _, _ in [*PAIRS, *hostile(tokenizer)]]
    rows = [conversation(x) for x in prompts]
    grpo = tokenizer.apply_chat_template(
        conversation=rows, tools=None, chat_template=None, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    assert grpo["input_ids"] == [expected(tokenizer, x) for x in prompts]
    texts = [maybe_apply_chat_template({"prompt": x}, tokenizer)["prompt"] for x in rows]
    found = tokenizer(text=texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    kept = [ids[mask.bool()].tolist() for ids, mask in zip(found["input_ids"], found["attention_mask"], strict=True)]
    assert kept == [expected(tokenizer, x) for x in prompts]


def test_a_careful_tokenizer_is_stored_as_what_it_was(nano: Path, tmp_path: Path):
    import copy
    import pickle

    tokenizer = load_tokenizer(nano)
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert expected(other, "a<|end|>") == expected(tokenizer, "a<|end|>")
        assert type(other) is type(tokenizer)
    tokenizer.save_pretrained(tmp_path / "ours")
    AutoTokenizer.from_pretrained(nano).save_pretrained(tmp_path / "theirs")
    for file in (tmp_path / "theirs").iterdir():
        assert (tmp_path / "ours" / file.name).read_bytes() == file.read_bytes()
