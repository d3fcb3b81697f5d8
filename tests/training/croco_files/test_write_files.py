"""The study's scored files in, its training files out: against a plain reading of the same files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from croco_eval.harness.errors import DataError
from croco_eval.training.croco_files import scored_files as study
from croco_eval.training.croco_files.prompt_files import language_of
from croco_eval.training.croco_files.write_files import write_training_files

DPO_FIELDS = [
    *("id", "source_dataset", "domain", "prompt", "prompt_language", "chosen", "rejected", "chosen_score"),
    *("rejected_score", "chosen_language", "rejected_language", "pool_size"),
]
SFT_FIELDS = ["id", "source_dataset", "domain", "prompt", "language", "completion", "reward_score"]


def message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def row(prompt: str, answer: str, reward: object) -> dict:
    return {"messages": [message("user", prompt), message("assistant", answer)], "reward_score": reward}


def write(path: Path, rows: list) -> Path:
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in rows), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    """Three languages, 12 prompts, 8 generations each in another order, rewards with ties."""
    rng = np.random.default_rng(5)
    scored, prompts = [], []
    for code in ("da", "de", "en"):
        texts = [f"{code}: spørgsmål {i}" for i in range(12)]
        meta = [{"id": f"p{i}", "source_dataset": "s", "domain": "d", "messages": [message("user", x)]}
                for i, x in enumerate(texts)]  # fmt: skip
        prompts.append(write(tmp_path / f"prompts_{code}.jsonl", meta))
        rows = [row(f" {texts[i]} ", f"{code} {i} {k}", float(rng.integers(-3, 4)) / 2)
                for i in range(12) for k in range(8)]  # fmt: skip
        scored.append(write(tmp_path / f"m_{code}_scored.jsonl", [rows[i] for i in rng.permutation(len(rows))]))
    return scored, prompts


def plain(scored: list[Path], pooled: bool) -> list[tuple]:
    """(prompt number, chosen, rejected, pool size) by a plain loop over parsed rows."""
    pools: dict[tuple, list[tuple[float, str]]] = {}
    for file in scored:
        for line in file.read_text(encoding="utf-8").splitlines():
            x = json.loads(line)
            number = int(x["messages"][0]["content"].split()[-1])
            key = (number, "") if pooled else (number, language_of(file))
            pools.setdefault(key, []).append((x["reward_score"], x["messages"][1]["content"]))
    found = []
    for key in sorted(pools):
        pool = pools[key]
        rewards = [x for x, _ in pool]
        target = np.mean(rewards) - 2 * np.std(rewards)
        best = max(pool, key=lambda x: x[0])
        below = sorted((x for x in pool if x[0] < best[0]), key=lambda x: abs(x[0] - target))
        if below:
            found.append((key[0], best[1], below[0][1], len(pool)))
    return found


def read(path: Path) -> list[dict]:
    return [json.loads(x) for x in path.read_text(encoding="utf-8").splitlines()]


def test_pairs_are_those_of_a_plain_reading(files, tmp_path: Path):
    scored, prompts = files
    made = write_training_files(scored, prompts, tmp_path / "out")
    for name, expected in (("dpo_all_lang", plain(scored, True)),):
        rows = read(tmp_path / "out" / f"{name}.jsonl")
        found = [(int(x["prompt"].split()[-1]), x["chosen"], x["rejected"], x["pool_size"]) for x in rows]
        assert found == expected
        assert all(list(x) == DPO_FIELDS for x in rows)
    in_language = [x for code in ("da", "de", "en") for x in read(tmp_path / "out" / f"dpo_in_lang_{code}.jsonl")]
    found = {(int(x["prompt"].split()[-1]), x["chosen"], x["rejected"], x["pool_size"]) for x in in_language}
    assert found == set(plain(scored, False))
    assert made.records["dpo_all_lang.jsonl"] == len(plain(scored, True))
    assert sum(x.pairs for x in made.pairs if x.language != "all") == len(in_language)


def test_pairs_do_not_depend_on_how_many_prompts_are_taken_at_once(files, tmp_path: Path, monkeypatch):
    """A language in two files, one without rows of a prompt and with rows that repeat earlier ones."""
    scored, prompts = files
    lines = scored[0].read_text(encoding="utf-8").splitlines()
    kept = [x for x in lines if not json.loads(x)["messages"][0]["content"].strip().endswith(" 7")]
    scored = [*scored, write(tmp_path / "n_da_scored.jsonl", [*kept[20:], *kept[:40]])]
    made, texts = [], []
    for rows in (1 << 16, 40, 1):
        monkeypatch.setattr(study, "_ROWS_AT_ONCE", rows)
        made.append(write_training_files(scored, prompts, tmp_path / "out"))
        texts.append({x.name: x.read_bytes() for x in (tmp_path / "out").iterdir()})
    assert texts[0] == texts[1] == texts[2]
    for x in made:
        assert dict(x.scored.repeats) == {"da": 20}
        assert x.scored.examples["da", study.REPEATED] == f"{scored[-1]}:{len(kept) + 1}"
        assert x.skips == made[0].skips
    found = [(int(x["prompt"].split()[-1]), x["chosen"], x["rejected"], x["pool_size"])
             for x in read(tmp_path / "out" / "dpo_all_lang.jsonl")]  # fmt: skip
    assert found == plain(scored, True)


def test_records_have_the_studys_fields_and_names(files, tmp_path: Path):
    scored, prompts = files
    write_training_files(scored, prompts, tmp_path / "out")
    assert sorted(x.name for x in (tmp_path / "out").iterdir()) == sorted(
        [f"dpo_in_lang_{x}.jsonl" for x in ("da", "de", "en")]
        + [f"sft_in_lang_max_r_{x}.jsonl" for x in ("da", "de", "en")]
        + ["dpo_all_lang.jsonl", "sft_all_lang_max_r_.jsonl"]
    )
    first = read(tmp_path / "out" / "sft_in_lang_max_r_da.jsonl")[0]
    assert list(first) == SFT_FIELDS
    assert (first["id"], first["language"], first["prompt"]) == ("p0", "da", "da: spørgsmål 0")
    best = read(tmp_path / "out" / "sft_all_lang_max_r_.jsonl")
    assert [x["id"] for x in best] == [f"p{i}" for i in range(12)]
    assert all(x["completion"].startswith(x["language"]) for x in best)


@pytest.mark.parametrize(("source", "side"), [("chosen", "chosen_language"), ("rejected", "rejected_language")])
def test_a_pool_of_all_languages_takes_the_prompt_in_the_language_asked_for(files, tmp_path: Path, source, side):
    write_training_files(*files, tmp_path / "out", prompt_source=source)
    for x in read(tmp_path / "out" / "dpo_all_lang.jsonl"):
        assert x["prompt_language"] == x[side] == x["prompt"][:2]


def test_a_random_prompt_language_depends_on_the_seed_alone(files, tmp_path: Path):
    texts = []
    for seed in (1, 1, 2):
        write_training_files(*files, tmp_path / "out", prompt_source="random", seed=seed)
        texts.append((tmp_path / "out" / "dpo_all_lang.jsonl").read_text(encoding="utf-8"))
    assert texts[0] == texts[1] != texts[2]


def test_rows_that_cannot_be_used_are_counted_named_and_never_paired(tmp_path: Path):
    prompts = [write(tmp_path / "prompts_da.jsonl", [{"id": "p0", "messages": [message("user", "Hvad?")]}])]
    bad = [
        "{broken", "[1, 2]", {"reward_score": 1.0}, row("Hvad?", "x", None), '{"messages": [], "reward_score": 1.0}',
        json.dumps(row("Hvad?", "nan", float("nan"))), json.dumps(row("Hvad?", "inf", float("inf"))),
        row("Hvad?", "failed", -999.0), row("Hvad?", "  ", 9.0), row("Ukendt?", "x", 9.0),
    ]  # fmt: skip
    good = [row("Hvad?", "god", 2.0), row("Hvad?", "dårlig", -1.0)]
    scored = [write(tmp_path / "r_da_scored.jsonl", [*bad, "", *good])]
    made = write_training_files(scored, prompts, tmp_path / "out")
    assert {reason: n for (_, reason), n in made.scored.problems.items()} == {
        "are not JSON objects": 2,
        "have no messages with a prompt": 2,
        "have no reward_score": 1,
        "have a reward that is not a finite number": 3,
        "have an empty answer": 1,
        "have a prompt without a parallel line": 1,
    }
    assert made.scored.examples["da", "have no reward_score"].endswith("r_da_scored.jsonl:4")
    (pair,) = read(tmp_path / "out" / "dpo_in_lang_da.jsonl")
    assert (pair["chosen"], pair["rejected"], pair["pool_size"]) == ("god", "dårlig", 2)


def test_pools_without_a_pair_are_counted_by_reason(tmp_path: Path):
    texts = ["et?", "to?", "tre?"]
    prompts = [write(tmp_path / "prompts_da.jsonl", [{"messages": [message("user", x)]} for x in texts])]
    rows = [
        row("et?", "a", 1.0),
        row("to?", "b", 1.0),
        row("to?", "c", 1.0),
        row("tre?", "d", 1.0),
        row("tre?", "e", 0),
    ]
    made = write_training_files([write(tmp_path / "r_da_scored.jsonl", rows)], prompts, tmp_path / "out")
    assert made.skips["language", "only one scored candidate"] == 1
    assert made.skips["language", "no candidate below the chosen one"] == 1
    assert made.records["dpo_in_lang_da.jsonl"] == 1
    assert made.records["sft_in_lang_max_r_da.jsonl"] == 3
    (pair,) = read(tmp_path / "out" / "dpo_in_lang_da.jsonl")
    assert pair["id"].startswith("dpo_2_da_")


def test_nothing_usable_and_missing_files_are_one_sentence(cli, tmp_path: Path):
    prompts = write(tmp_path / "prompts_da.jsonl", [{"messages": [message("user", "Hvad?")]}])
    empty = write(tmp_path / "r_da_scored.jsonl", [row("Andet?", "x", 1.0)])
    with pytest.raises(DataError, match="1 rows have a prompt without a parallel line"):
        write_training_files([empty], [prompts], tmp_path / "out")
    done = cli("train", "pair-files", "--scored", "nowhere.jsonl", "--prompts", prompts, "--out", "out")
    assert (done.returncode, done.stderr) == (1, "croco-eval: scored file nowhere.jsonl is not there.\n")
    done = cli("train", "pair-files", "--scored", empty, "--prompts", prompts, "--out", "out", "--reject-target", "mim")
    assert done.returncode == 2
    assert "did you mean 'min'" in done.stderr


@pytest.mark.parametrize(("pool", "kept"), [("all", ["all_lang"]), ("language", ["in_lang"])])
def test_one_kind_of_pools_may_be_asked_for(cli, files, tmp_path: Path, pool: str, kept: list[str]):
    scored, prompts = files
    done = cli("train", "pair-files", "--scored", *scored, "--prompts", *prompts, "--out", "out", "--pool", pool)
    assert done.returncode == 0, done.stderr
    write_training_files(scored, prompts, tmp_path / "both")
    names = {x.name for x in (tmp_path / "both").iterdir() if kept[0] in x.name}
    assert {x.name for x in (tmp_path / "out").iterdir()} == names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "both" / name).read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        ["--scored", "a.jsonl", "b.jsonl", "--prompts", "c.jsonl", "--out", "out", "--layout", "study"],
        ["c.yaml", "--seed=3"],
    ],
)
def test_options_of_files_given_to_the_command_of_configs_name_the_other_command(cli, words: list[str]):
    done = cli("train", "pair", *words)
    option = next(x for x in words if x.startswith("--")).split("=")[0]
    assert done.returncode == 2
    assert done.stderr == (
        f"croco-eval: {option} is for the study's own files: croco-eval train pair-files; in a training config the "
        "rule is the section `pair`.\n"
    )


def test_wrong_values_are_refused_with_the_nearest_known_one(cli):
    done = cli("train", "pair-files", "--out", "out", "--pool", "al")
    assert (done.returncode, "did you mean 'all'" in done.stderr) == (2, True)
    done = cli("train", "pair-files", "--scored", "x.jsonl")
    assert (done.returncode, "--out is missing" in done.stderr) == (2, True)
