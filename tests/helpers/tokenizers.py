"""Small tokenizers of every kind, trained here: with special tokens, a chat template, and what they add to a text."""

from __future__ import annotations

from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD, UNK, USER, END, NEXT = "<s>", "</s>", "<pad>", "<unk>", "<|user|>", "<|end|>", "<|assistant|>"
SPECIAL = [UNK, BOS, EOS, PAD, USER, END, NEXT]
TEMPLATE = (
    "{% for m in messages %}{{ '<|user|>' if m['role'] == 'user' else '<|assistant|>' if m['role'] == 'assistant' "
    "else '[system] ' }}{{ m['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TEXTS = [
    "Tell me about Denmark and its capital, please.",
    "København er hovedstaden i Danmark; den ligger på Sjælland.",
    "The week begins on Monday. Oslo is the capital of Norway: 12 months, 365 days.",
    "  two  spaces, [brackets] <angle> |bars| </slash> and user, end, assistant, unk, pad, s",
] * 20
KINDS = ("bytes", "bytes, specials as words", "unigram, first", "unigram, always", "unigram, NFKC", "pieces", "words")
ADDS = ("front", "end", "both", "none")


def make_tokenizer(kind: str, adds: str = "none", template: str = TEMPLATE) -> PreTrainedTokenizerFast:
    """``kind``: the model and its prefix spaces; ``adds``: where it puts special tokens of its own."""
    made = {"bytes": _bytes, "unigram": _unigram, "pieces": _pieces, "words": _words}[kind.split(",")[0]](kind)
    before, after = [BOS] if adds in ("front", "both") else [], [EOS] if adds in ("end", "both") else []
    known = [(x, made.token_to_id(x)) for x in (BOS, EOS)]
    if before or after:
        made.post_processor = processors.TemplateProcessing(
            single=[*before, "$A", *after], pair=[*before, "$A", "$B", *after], special_tokens=known
        )
    names: dict[str, Any] = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD, "unk_token": UNK}
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        **names,
        additional_special_tokens=[USER, END, NEXT],
        chat_template=template,
        clean_up_tokenization_spaces=False,
        model_max_length=256,
    )


def special_strings(tokenizer: Any) -> list[str]:
    """Every special token of a tokenizer."""
    return [x.content for x in tokenizer.added_tokens_decoder.values() if x.special]


def _trained(tokenizer: Tokenizer, trainer: Any) -> Tokenizer:
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def _bytes(kind: str) -> Tokenizer:
    made: Any = Tokenizer(models.BPE(ignore_merges="words" in kind))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex="words" not in kind)
    made.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=SPECIAL, initial_alphabet=letters, show_progress=False)
    return _trained(made, trainer)


def _unigram(kind: str) -> Tokenizer:
    made: Any = Tokenizer(models.Unigram())
    if "NFKC" in kind:
        made.normalizer = normalizers.NFKC()
    scheme = "always" if "always" in kind else "first"
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made.decoder = decoders.Metaspace(prepend_scheme=scheme)
    letters = sorted({x for text in TEXTS for x in text})
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=SPECIAL, unk_token=UNK, initial_alphabet=letters, show_progress=False
    )
    trained = _trained(made, trainer)
    if "NFKC" in kind:  # special tokens that are looked for in the normalized text
        trained.add_special_tokens([AddedToken(x, special=True, normalized=True) for x in SPECIAL])
    return trained


def _pieces(kind: str) -> Tokenizer:
    made: Any = Tokenizer(models.WordPiece(unk_token=UNK))  # pyright: ignore[reportCallIssue]
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.WordPiece()
    return _trained(made, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False))


def _words(kind: str) -> Tokenizer:
    made: Any = Tokenizer(models.WordLevel(unk_token=UNK))  # pyright: ignore[reportCallIssue]
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return _trained(made, trainers.WordLevelTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False))
