"""The transformers backend, on the packaged tiny model and on small random models of other architectures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.records import GenerationRequest, LikelihoodRequest
from croco_eval.harness.backends.hf import HfBackend
from croco_eval.harness.backends.hf_likelihood import LikelihoodScorer
from croco_eval.harness.backends.hf_rewards import HfRewardModel
from croco_eval.harness.backends.text import token_batches
from croco_eval.harness.errors import ModelError
from croco_eval.harness.text.encoding import readable
from helpers.reward_models import save_reward_model
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForSequenceClassification,
    MambaConfig,
    MambaForCausalLM,
)

PAIRS = [
    ("The currency of Denmark:", " Danish Krone"),
    ("The currency of Denmark:", " Euro"),
    ("The currency of Denmark: ", "Euro"),
    ("The currency of Denmark:", " a much longer answer than the other ones 123"),
    ("Die Woche beginnt mit", " Montag"),
    ("Die Woche beginnt mit", " x"),
    ("", "Euro"),
    ("   ", "Euro"),
]


def answers(chunks) -> dict:
    return dict(x for chunk in chunks for x in chunk)


def likelihood_requests(pairs=PAIRS) -> list[LikelihoodRequest]:
    return [LikelihoodRequest(f"item{i}", 0, *x) for i, x in enumerate(pairs)]


def generation(prompt: str, seed: int = 0, **settings) -> GenerationRequest:
    return GenerationRequest(f"{prompt}{seed}", 0, prompt, **{"max_new_tokens": 12, "seed": seed, **settings})


def asked(backend: HfBackend, question: str) -> str:
    return backend.engine(None).chat([{"role": "user", "content": question}])


@pytest.fixture(scope="module")
def backend(nano: Path) -> HfBackend:
    return HfBackend(ModelSpec(str(nano)), log=lambda message: None)


@pytest.fixture(scope="module")
def hflm(nano: Path) -> HFLM:
    model = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32)
    return HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(nano), batch_size=4)


def test_loglikelihoods_equal_those_of_lm_eval(backend: HfBackend, hflm: HFLM):
    pairs = [x for x in PAIRS if x[0] != "   "]  # lm-eval refuses a context of spaces
    expected = hflm.loglikelihood([Instance("loglikelihood", {}, x, 0) for x in pairs], disable_tqdm=True)
    found = answers(backend.engine(None).loglikelihoods(likelihood_requests(pairs), frozenset()))
    for i, (logprob, greedy) in enumerate(expected):
        assert found[i].logprob == pytest.approx(logprob, abs=1e-4)
        assert found[i].is_greedy == greedy


def test_generations_equal_those_of_lm_eval(backend: HfBackend, hflm: HFLM):
    prompts = [asked(backend, "Hello"), asked(backend, "Name a currency."), "Monday, Tuesday,"]
    settings = {"until": ["\n"], "max_gen_toks": 12, "do_sample": False}
    instances = [Instance("generate_until", {}, (readable(x), dict(settings)), 0) for x in prompts]
    expected = hflm.generate_until(instances, disable_tqdm=True)
    requests = [generation(x, stop=("\n",)) for x in prompts]
    found = answers(backend.engine(None).generate(requests, frozenset()))
    assert [found[i].text for i in range(len(prompts))] == expected


def test_sharing_contexts_changes_no_likelihood(nano: Path):
    model = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(nano)
    results = []
    with torch.inference_mode():
        for share in (True, False):
            scorer = LikelihoodScorer(model, tokenizer, 1024, share)
            found = dict(x for batch in scorer.plan(PAIRS, 64) for x in scorer.score(batch))
            results.append([found[i].logprob for i in range(len(PAIRS))])
    assert results[0] == pytest.approx(results[1], abs=1e-4)


def test_more_continuations_than_fit_a_batch_are_read_in_parts(nano: Path):
    """As many answers of one prompt are, which a scorer asks for."""
    model = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(nano)
    scorer = LikelihoodScorer(model, tokenizer, 1024, share=True)
    pairs = [("The week begins on", " Monday" * (1 + 7 * i % 20)) for i in range(24)]
    batches = list(scorer.plan(pairs, 64))
    assert sorted(x for batch in batches for x in batch.positions) == list(range(24))
    for batch in batches:
        lengths = [len(ids) for _, ids in batch.continuations[0]]
        assert len(batch.contexts[0]) + max(lengths) * len(lengths) <= 64
    with torch.inference_mode():
        found = dict(x for batch in batches for x in scorer.score(batch))
        whole = dict(x for batch in scorer.plan(pairs, 8192) for x in scorer.score(batch))
    assert [found[i].logprob for i in range(24)] == pytest.approx([whole[i].logprob for i in range(24)], abs=1e-3)


def test_every_request_is_in_exactly_one_batch(nano: Path):
    scorer = LikelihoodScorer(None, AutoTokenizer.from_pretrained(nano), 1024, share=True)
    batches = list(scorer.plan(PAIRS, 32))
    assert len(batches) > 1
    assert sorted(x for batch in batches for x in batch.positions) == list(range(len(PAIRS)))


def test_a_model_whose_cache_cannot_be_shared_is_read_plainly_and_agrees_with_lm_eval(tmp_path: Path, nano: Path):
    tokenizer = AutoTokenizer.from_pretrained(nano)
    torch.manual_seed(0)
    model = MambaForCausalLM(MambaConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, state_size=8))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    messages: list[str] = []
    backend = HfBackend(ModelSpec(str(tmp_path)), log=messages.append)
    pairs = [x for x in PAIRS if x[0].strip()]
    found = answers(backend.engine(None).loglikelihoods(likelihood_requests(pairs), frozenset()))
    reference = HFLM(pretrained=model.eval(), tokenizer=tokenizer, batch_size=1, max_length=1024)
    expected = reference.loglikelihood([Instance("loglikelihood", {}, x, 0) for x in pairs], disable_tqdm=True)
    assert [found[i].logprob for i in range(len(pairs))] == pytest.approx([x[0] for x in expected], rel=1e-3)
    assert any("can't reuse" in x for x in messages)


def test_a_sample_depends_on_its_seed_and_not_on_its_batch(backend: HfBackend):
    engine = backend.engine(None)
    wanted = generation(asked(backend, "Tell me about Denmark."), seed=5, temperature=1.0)
    others = [generation(asked(backend, "Hello there, how are you?"), seed=x, temperature=1.0) for x in range(6)]
    alone = answers(engine.generate([wanted], frozenset()))[0].text
    together = answers(engine.generate([*others, wanted], frozenset()))[6].text
    assert alone == together
    samples = [generation(wanted.prompt, seed=x, temperature=1.0) for x in range(8)]
    assert len({x.text for x in answers(engine.generate(samples, frozenset())).values()}) > 4


def test_samples_follow_the_models_distribution(backend: HfBackend):
    """First tokens of 2,000 samples against the model's own probabilities (chi-square over the likely tokens)."""
    from scipy.stats import chisquare

    prompt = asked(backend, "Describe a country.")
    requests = [generation(prompt, seed=x, temperature=1.0, max_new_tokens=1) for x in range(2000)]
    texts = [x.text for x in answers(backend.engine(None).generate(requests, frozenset())).values()]
    with backend.active(None) as model:
        ids = backend.tokenizer(readable(prompt), return_tensors="pt", add_special_tokens=False)["input_ids"]
        probabilities = model(input_ids=ids).logits[0, -1].softmax(-1)
    top = probabilities.topk(8).indices.tolist()
    names = [backend.tokenizer.decode([x], skip_special_tokens=True) for x in top]
    assert len(set(names)) == len(names)
    observed = [texts.count(x) for x in names]
    expected = [float(probabilities[x]) * len(texts) for x in top]
    observed.append(len(texts) - sum(observed))
    expected.append(len(texts) - sum(expected))
    assert chisquare(observed, expected).pvalue > 1e-3


def test_greedy_settings_ignore_the_models_own_generation_config(backend: HfBackend, nano: Path):
    engine = backend.engine(None)
    request = generation(asked(backend, "Name a currency."))
    before = answers(engine.generate([request], frozenset()))[0]
    with backend.active(None) as model:
        model.generation_config.update(do_sample=True, temperature=5.0)
    assert answers(engine.generate([request], frozenset()))[0] == before


def test_stop_strings_cut_the_answer_and_length_is_reported(backend: HfBackend):
    engine = backend.engine(None)
    long = answers(engine.generate([generation("Monday, Tuesday,", max_new_tokens=3)], frozenset()))[0]
    assert (long.finish_reason, long.n_tokens) == ("length", 3)
    text = answers(engine.generate([generation("Monday, Tuesday,", max_new_tokens=30)], frozenset()))[0].text
    stop = text[4:6]
    cut = answers(engine.generate([generation("Monday, Tuesday,", max_new_tokens=30, stop=(stop,))], frozenset()))[0]
    assert cut.finish_reason == "stop"
    assert cut.text == text[: text.index(stop)]


def test_answered_batches_are_not_computed_again(backend: HfBackend):
    requests = likelihood_requests()
    assert list(backend.engine(None).loglikelihoods(requests, frozenset(range(len(requests))))) == []


def test_base_and_adapter_share_weights_and_the_base_is_unchanged_by_the_adapter(nano: Path, nano_sft: Path):
    backend = HfBackend(ModelSpec(str(nano)), log=lambda message: None)
    base = backend.engine(None)
    before = answers(base.loglikelihoods(likelihood_requests(), frozenset()))
    tuned = backend.engine(nano_sft)
    with_adapter = answers(tuned.loglikelihoods(likelihood_requests(), frozenset()))
    after = answers(base.loglikelihoods(likelihood_requests(), frozenset()))
    assert [after[i].logprob for i in after] == pytest.approx([before[i].logprob for i in before], abs=1e-5)
    assert with_adapter[0].logprob != pytest.approx(before[0].logprob, abs=1e-3)
    with backend.active(None) as model:
        embeddings = [name for name, _ in model.named_parameters() if "embed_tokens" in name]
    assert len(embeddings) == 1


def test_an_adapter_of_other_shapes_is_refused(tmp_path: Path, nano: Path, nano_sft: Path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "other"
    shutil.copytree(nano_sft, folder)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file(
        {k: v[:, :-8].contiguous() if "lora_A" in k else v for k, v in weights.items()},
        folder / "adapter_model.safetensors",
    )
    backend = HfBackend(ModelSpec(str(nano)), log=lambda message: None)
    with pytest.raises(ModelError, match="does not fit the base"):
        backend.engine(folder)


def test_a_window_too_small_for_the_answer_is_an_error(backend: HfBackend):
    with pytest.raises(ModelError, match="max_new_tokens"):
        list(backend.engine(None).generate([generation("Hi", max_new_tokens=5000)], frozenset()))


def test_a_missing_device_is_named(nano: Path):
    with pytest.raises(ModelError, match="device 'cuda:9'"):
        HfBackend(ModelSpec(str(nano), device="cuda:9"), log=lambda message: None)


@pytest.fixture
def reward_model(tmp_path: Path, nano: Path):
    return partial(save_reward_model, tmp_path, nano, max_position_embeddings=64)


def talk(answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": answer}]


def logit_at_the_end(folder: Path, conversation: list[dict[str, str]]) -> float:
    """The reward of one conversation, from the weights and nothing else of ours."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    text = tokenizer.apply_chat_template(conversation, tokenize=False)
    ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
    with torch.inference_mode():
        hidden = model.model(input_ids=ids).last_hidden_state
        return float(model.score(hidden)[0, -1, 0])


@pytest.mark.parametrize("pad", ["the tokenizer's", None, -1])
def test_a_reward_is_the_logit_of_the_last_token_whatever_the_batch_and_the_padding(reward_model, pad):
    folder = reward_model(**({} if pad == "the tokenizer's" else {"pad_token_id": pad}))
    talks = [talk(x) for x in ("Yes.", "No, " * 9, "x", "")]
    model = HfRewardModel(ModelSpec(str(folder)))
    expected = [logit_at_the_end(folder, x) for x in talks]
    assert model.rewards(talks) == pytest.approx(expected, abs=1e-5)
    assert [model.rewards([x])[0] for x in talks] == pytest.approx(expected, abs=1e-5)
    assert len({round(x, 6) for x in expected}) == 4


def test_batches_hold_no_more_tokens_than_allowed_and_change_no_reward(reward_model):
    folder = reward_model()
    talks = [talk("word " * n) for n in range(1, 30)]
    small, large = (HfRewardModel(ModelSpec(str(folder), batch_tokens=x)) for x in (64, 4096))
    assert small.rewards(talks) == pytest.approx(large.rewards(talks), abs=1e-5)
    lengths = {i: 5 + i for i in range(29)}
    batches = token_batches(lengths, 64)
    assert sorted(x for batch in batches for x in batch) == list(lengths)
    assert all(len(x) == 1 or max(lengths[i] for i in x) * len(x) <= 64 for x in batches)
    assert len(token_batches(lengths, 4096)) == 1


def test_a_conversation_longer_than_the_window_has_no_reward_and_the_others_have(reward_model):
    rewards = HfRewardModel(ModelSpec(str(reward_model()))).rewards([talk("a"), talk("long " * 100), talk("b")])
    assert [x is None for x in rewards] == [False, True, False]
    assert HfRewardModel(ModelSpec(str(reward_model()))).rewards([talk("long " * 100)]) == [None]


@pytest.mark.parametrize(
    ("model", "message"),
    [("two logits", "gives 2 logits; a reward model"), ("language model", "no trained classifier"), ("none", "loaded")],
)
def test_what_is_no_reward_model_is_refused(reward_model, nano: Path, tmp_path: Path, model: str, message: str):
    if model == "two logits":
        folder = reward_model(num_labels=2)
    elif model == "language model":
        config = LlamaConfig.from_pretrained(nano, num_labels=1)
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
        AutoTokenizer.from_pretrained(nano).save_pretrained(tmp_path)
        folder = tmp_path
    else:
        folder = tmp_path
    with pytest.raises(ModelError, match=message):
        HfRewardModel(ModelSpec(str(folder)))


@pytest.mark.parametrize(
    ("template", "message"), [(None, "no chat template"), ("{{ raise_exception('not so') }}", "failed: not so")]
)
def test_a_chat_template_that_is_missing_or_fails_is_named(reward_model, template, message: str):
    folder = reward_model()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    for file in folder.glob("chat_template*"):
        file.unlink()
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=message):
        HfRewardModel(ModelSpec(str(folder))).rewards([talk("x")])
