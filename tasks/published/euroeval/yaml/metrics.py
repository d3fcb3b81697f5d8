"""What EuroEval measures, item by item: SQuAD F1 and exact match, and the share of instructions followed."""

from __future__ import annotations

import os
import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

# lm-eval reads this file by its path, so there is no package to be relative to.
from croco_eval.tasks.published.euroeval.punkt import punkt_folder  # pyright: ignore[reportMissingImports]
from sklearn.metrics import f1_score

ENGLISH_ONLY = ("change_case:english_capital", "change_case:english_lowercase")
"""Instructions whose checker asks whether the answer is in English."""

NEEDS_PUNKT = ("length_constraints:number_sentences", "change_case:capital_word_frequency")
"""Instructions whose checker splits sentences or words with NLTK's punkt model."""

_NO_PUNKT = "the checker needs NLTK's punkt_tab: run `croco-eval prefetch` where there is a network"


def macro_f1(pairs: Sequence[tuple[int, int]]) -> float:
    """Mean of the labels' F1 over (gold, predicted) pairs, as scikit-learn's ``average="macro"``."""
    gold, predicted = zip(*pairs, strict=True)
    return float(f1_score(gold, predicted, average="macro"))


def squad(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """F1 and exact match of SQuAD v2 (https://rajpurkar.github.io/SQuAD-explorer/): the best over the gold answers.

    Where there is none, or none that holds a word, the right answer is an empty one.
    """
    golds = [gold for x in doc["answers"]["text"] if (gold := _words(x))] or [[]]
    words = _words(results[0])
    return {
        "f1": max(_overlap(words, x) for x in golds),
        "em": float(any(words == x for x in golds)),
    }


def _words(text: str) -> list[str]:
    """Lower case, without punctuation and without English articles, as in SQuAD."""
    kept = "".join(x for x in text.lower() if x not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


def _overlap(words: list[str], gold: list[str]) -> float:
    if not words or not gold:
        return float(words == gold)
    shared = sum((Counter(words) & Counter(gold)).values())
    return 2 * shared / (len(words) + len(gold))


def instructions(doc: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """Whether each instruction was followed, strictly, by lm-eval's IFEval checker.

    Instructions it does not know, and those about English, are left out, as EuroEval leaves out what it does not
    support. A text instead of truth values says why an item has no score.
    """
    return _instructions(doc, results[0], left_out=ENGLISH_ONLY)


def english_instructions(doc: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """As ``instructions``, those about English included."""
    return _instructions(doc, results[0], left_out=())


def _instructions(doc: dict[str, Any], answer: str, left_out: Sequence[str]) -> dict[str, Any]:
    known, check = _checker()
    target = doc["target_text"]
    ids = [re.sub(r"^[a-z]{2}:", "", x) for x in target["instruction_id_list"]]
    asked = [(x, k or {}) for x, k in zip(ids, target["kwargs"], strict=True) if x in known and x not in left_out]
    if not asked:
        return _unscored("no instruction that the checker knows")
    if any(x in NEEDS_PUNKT for x, _ in asked) and not _has_punkt():
        return _unscored(_NO_PUNKT)
    try:
        followed = check(doc["text"], [x for x, _ in asked], [k for _, k in asked], answer)
    except (LookupError, TypeError, ValueError) as error:  # such as a language that is not on the checker's list
        return _unscored(f"an instruction has arguments that the checker refuses ({type(error).__name__}: {error})")
    return {"instruction_accuracy": followed, "prompt_accuracy": float(all(followed))}


def _unscored(reason: str) -> dict[str, Any]:
    return {"instruction_accuracy": reason, "prompt_accuracy": reason}


def share(values: Sequence[Any]) -> float:
    """Share of all truth values, over all items that have any."""
    flat = [x for v in values if not isinstance(v, str) for x in (v if isinstance(v, list) else [v])]
    return float(np.mean(flat)) if flat else float("nan")


@cache
def _checker() -> tuple[frozenset[str], Any]:
    """The instructions lm-eval knows, and its strict test. Its import fetches a model unless told it is not rank 0.

    It asks langdetect, which draws at random, about an answer's language: a seed makes the same answer the same score.
    """
    rank = os.environ.get("LOCAL_RANK")
    os.environ["LOCAL_RANK"] = "1"
    try:
        from langdetect import DetectorFactory
        from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT
        from lm_eval.tasks.ifeval.utils import InputExample, test_instruction_following_strict
    finally:
        if rank is None:
            del os.environ["LOCAL_RANK"]
        else:
            os.environ["LOCAL_RANK"] = rank
    DetectorFactory.seed = 0

    def check(prompt: str, ids: list[str], kwargs: list[dict[str, Any]], answer: str) -> list[bool]:
        example = InputExample(key=0, instruction_id_list=ids, prompt=prompt, kwargs=kwargs)
        return test_instruction_following_strict(example, answer).follow_instruction_list

    return frozenset(INSTRUCTION_DICT), check


_has_punkt = cache(punkt_folder)
"""Asked once: the files are looked for in a dozen folders."""
