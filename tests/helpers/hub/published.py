"""Tiny data sets with the true names, configurations, splits and columns of the published ones."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from lm_eval import tasks as lm_eval_tasks

from .files import dataset_files

Rows = list[dict[str, Any]]
OPTIONS = ("ten", "two sheep", "the sea", "a long road")


def _choices(i: int, prefix: str = "option_", letters: str = "abcd") -> dict[str, str]:
    return {f"{prefix}{x}": f"{OPTIONS[(i + j) % 4]} {i}" for j, x in enumerate(letters)}


def _subjects() -> list[str]:
    folder = Path(lm_eval_tasks.__file__).parent / "global_mmlu/full/de"
    names = [yaml.safe_load(x.read_text().replace("!function", "")) for x in folder.glob("global_mmlu_full_de_*.yaml")]
    return sorted(x["task"].removeprefix("global_mmlu_full_de_") for x in names if "task" in x)


def _belebele(n: int) -> Rows:
    return [
        {
            "link": f"https://example.org/{i // 2}",
            "question_number": i % 2 + 1,
            "ds": "2023-05-03",
            "flores_passage": f"The sheep number {i} crossed the road.",
            "question": f"Who crossed road {i}?",
            **_choices(i, "mc_answer", "1234"),
            "correct_answer_num": str(i % 4 + 1),
            "dialect": "x",
        }
        for i in range(n)
    ]


def _mmlu(ids: Iterable[str]) -> Rows:
    return [
        {"instruction": f"What is {x}?", **_choices(i), "answer": "ABCD"[i % 4], "id": x} for i, x in enumerate(ids)
    ]


def _arc(n: int) -> Rows:
    return [
        {
            "id": f"q{i}",
            "instruction": f"Why does [x] water {i} boil?",
            **_choices(i, letters="abcde"),
            "option_e": None if i % 2 else "never",
            "answer": "ABCD"[i % 4],
        }
        for i in range(n)
    ]


def _hellaswag(n: int) -> Rows:
    return [
        {
            "ind": i,
            "activity_label": "Cooking",
            "ctx_a": f"A man boils egg {i}.",
            "ctx_b": "he",
            "ctx": "x",
            "endings": [f"{x} {i}" for x in OPTIONS],
            "source_id": f"s~{i}",
            "split": "val",
            "split_type": "zeroshot",
            "label": str(i % 4),
        }
        for i in range(n)
    ]


def _global_mmlu() -> Rows:
    return [
        {
            "sample_id": f"{x}/test/0",
            "subject": x,
            "question": f"What about {x}?",
            **_choices(i),
            "answer": "ABCD"[i % 4],
        }
        for i, x in enumerate(_subjects())
    ]


def _include() -> Rows:
    domains = ("STEM", "Social Science", "Driving License", "Arts & Humanities", "Applied Science")
    domains += ("Business & Commerce", "General knowledge", "Health oriented education", "Marine License")
    domains += ("Medical License", "Professional certification")
    return [
        {"domain": x, "subject": "s", "question": f"What is {x}?", **_choices(i), "answer": i % 4}
        for i, x in enumerate(domains)
    ]


def _mgsm(n: int) -> Rows:
    return [
        {"question": f"{i} and {i}?", "answer": None, "answer_number": 2 * i, "equation_solution": None}
        for i in range(n)
    ]


def _solved(n: int) -> Rows:
    return [
        {"question": f"Question: {i} and 1?", "answer": f"Step-by-Step Answer: {i + 1}", "answer_number": i + 1}
        | {"equation_solution": "1+1=2"}
        for i in range(n)
    ]


def _piqa(n: int, solutions: int) -> Rows:
    return [
        {"prompt": f"To dry cloth {i},", "label": i % solutions}
        | {f"solution{j}": f"use {OPTIONS[(i + j) % 4]}" for j in range(solutions)}
        for i in range(n)
    ]


def _xnli(n: int) -> Rows:
    return [{"premise": f"Sheep {i} sleeps", "hypothesis": f"it rests {i}", "label": i % 3} for i in range(n)]


def _sib(n: int) -> Rows:
    topics = ("science/technology", "travel", "politics", "sports", "health", "entertainment", "geography")
    return [{"index_id": 7 * i, "category": topics[i % 7], "text": f"Sentence number {i} is here."} for i in range(n)]


def arena(n: int, language: str) -> Rows:
    """Rows of m-ArenaHard."""
    return [
        {"question_id": f"q{i}", "category": "hard_prompt", "subcategory": "coding", "language": language}
        | {"prompt": f"Write about the number {i} in {language}."}
        for i in range(n)
    ]


def classification(n: int, labels: tuple[str, ...]) -> Rows:
    """Rows of EuroEval's sets with a text and a label."""
    return [{"text": f"Line {i} of a text\na. one\nb. two", "label": labels[i % len(labels)]} for i in range(n)]


def _squad(n: int) -> Rows:
    return [
        {"id": str(i), "context": f"Ana has {i} sheep and a dog.", "question": "How many sheep has Ana?"}
        | {"answers": {"text": [f"{i} sheep"], "answer_start": [8]}}
        for i in range(n)
    ]


def _ifeval(n: int) -> Rows:
    kinds = ("length_constraints:number_sentences", "length_constraints:number_words", "detectable_format:title")
    kwargs = (
        {"num_sentences": 1, "num_words": None, "relation": "at least"},
        {"num_sentences": None, "num_words": 3, "relation": "at least"},
        {"num_sentences": None, "num_words": None, "relation": None},
    )
    return [
        {
            "text": f"Write {i} words.",
            "target_text": {
                "instruction_id_list": [kinds[i % 3], "punctuation:no_comma"],
                "kwargs": [kwargs[i % 3], kwargs[2]],
            },
        }
        for i in range(n)
    ]


ACCEPTABILITY = ("correct", "incorrect")
LETTERS = ("a", "b", "c", "d")


def published(n: int = 6) -> dict[str, dict[str, bytes]]:
    """Hub id -> files, for at least one data set of every suite."""
    splits = {"test": n, "train": 40}
    sets: dict[str, dict[str, dict[str, Rows]]] = {
        "facebook/belebele": {"deu_Latn": {"test": _belebele(n)}, "eng_Latn": {"test": _belebele(n)}},
        "jumelet/multiblimp": {
            x: {"train": [{"sen": f"She walks {i}.", "wrong_sen": f"She walk {i}."} for i in range(n)]}
            for x in ("deu", "eng")
        },
        "alexandrainst/m_mmlu": {
            x: {"test": _mmlu(f"t{i}" for i in range(n)), "train": _mmlu(f"r{i}" for i in range(5))}
            for x in ("de", "en")
        },
        "alexandrainst/m_arc": {"de": {"test": _arc(n), "train": _arc(8), "validation": _arc(2)}},
        "alexandrainst/m_hellaswag": {"de": {"val": _hellaswag(n)}},
        "CohereForAI/Global-MMLU": {x: {"test": _global_mmlu(), "dev": _global_mmlu()} for x in ("de", "en")},
        "CohereForAI/include-base-44": {"German": {"test": _include(), "validation": _include()}},
        "juletxara/mgsm": {x: {"test": _mgsm(n), "train": _solved(8)} for x in ("de", "en")},
        "facebook/xnli": {x: {"validation": _xnli(n), "train": _xnli(9), "test": _xnli(n)} for x in ("de", "en")},
        "mrlbenchmarks/global-piqa-parallel": {x: {"test": _piqa(n, 4)} for x in ("deu_latn", "eng_latn")},
        "mrlbenchmarks/global-piqa-nonparallel": {x: {"test": _piqa(n, 2)} for x in ("deu_latn", "eng_latn")},
        "Davlan/sib200": {
            x: {"test": _sib(n), "train": _sib(14), "validation": _sib(7)} for x in ("deu_Latn", "eng_Latn")
        },
        "CohereLabs/m-ArenaHard-v2.1": {x: {"test": arena(n, x)} for x in ("de", "en")},
        "EuroEval/scala-de": {"default": {k: classification(v, ACCEPTABILITY) for k, v in splits.items()}},
        "EuroEval/mmlu-de-mini": {"default": {k: classification(v, LETTERS) for k, v in splits.items()}},
        "EuroEval/germanquad-mini": {"default": {k: _squad(v) for k, v in splits.items()}},
        "EuroEval/ifeval-de": {"default": {"test": _ifeval(n)}},
    }
    files = {name: dataset_files(configs) for name, configs in sets.items()}
    for path in [x for x in files["juletxara/mgsm"] if x.endswith(".parquet")]:
        files["juletxara/mgsm"][path] = _typed(files["juletxara/mgsm"][path])
    return files


def _typed(parquet: bytes) -> bytes:
    """A column of nothing but None has no type of its own; the published file says that it holds text."""
    table = pq.read_table(io.BytesIO(parquet))
    schema = pa.schema([(x, pa.int64() if x == "answer_number" else pa.string()) for x in table.column_names])
    buffer = io.BytesIO()
    pq.write_table(table.cast(schema), buffer)
    return buffer.getvalue()
