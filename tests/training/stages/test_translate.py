"""The translate stage: what is kept, what is dropped and why, and what comes after it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from croco_eval.harness.api.records import Response
from croco_eval.harness.calls import client
from croco_eval.harness.errors import DataError, ServerError, StoreError, UserError
from croco_eval.training.config import read_train_config
from croco_eval.training.run import run as run_stages
from croco_eval.training.stages.prompts import load_prompts
from croco_eval.training.stages.translation_checks import Limits, check
from croco_eval.training.stages.translation_request import ask
from helpers.scripted_server import Act, ScriptedServer, refuse, say

Body = dict[str, Any]

CODE = "```python\ndef f(x):\n    return x + 1\n```"
ENGLISH = {
    "rainbow": "Explain how a rainbow forms in simple words that a child can understand.",
    "code": f"Find the mistake in this function and explain it:\n{CODE}",
    "mail": "Write a short mail to {name} with the link https://example.org/a and tell them about the meeting.",
    "hello": "Hello!",
}
GOOD = {
    "da": {
        "rainbow": "Forklar med enkle ord, som et barn kan forstå, hvordan en regnbue opstår.",
        "code": f"Find fejlen i denne funktion, og forklar den:\n{CODE}",
        "mail": "Skriv en kort mail til {name} med linket https://example.org/a og fortæl om mødet.",
        "hello": "Hej!",
    },
    "de": {
        "rainbow": "Erkläre mit einfachen Worten, die ein Kind verstehen kann, wie ein Regenbogen entsteht.",
        "code": f"Finde den Fehler in dieser Funktion und erkläre ihn:\n{CODE}",
        "mail": "Schreibe {name} eine kurze Mail mit dem Link https://example.org/a und berichte von der Besprechung.",
        "hello": "Hallo!",
    },
}
LANGUAGES = {"Danish": "da", "German": "de"}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)


class Silent:
    """Progress that nobody looks at."""

    def begin(self, name: str) -> None: ...

    def answers(self, done: int, expected: int) -> None: ...

    def end(self) -> None: ...


def asked(body: Body) -> tuple[str, str]:
    """Name of the prompt and code of the language that a translator was asked for."""
    message = body["messages"][-1]["content"]
    text = message.split("Text:\n\n", 1)[1]
    language = next(code for name, code in LANGUAGES.items() if f"into {name}." in message)
    return next(k for k, v in ENGLISH.items() if v == text), language


def translator(faults: dict[tuple[str, str], Callable[[int], Act | None]] | None = None) -> Callable[[Body, int], Act]:
    """A translator that is right but for its faults: (prompt, language) -> what it does at the nth try."""
    tries: Counter[tuple[str, str]] = Counter()

    def script(body: Body, _times: int) -> Act:
        key = asked(body)
        tries[key] += 1
        act = faults[key](tries[key]) if faults and key in faults else None
        return act or say(GOOD[key[1]][key[0]])

    return script


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(translator()) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, server: ScriptedServer) -> Callable[..., Path]:
    def write(translate: dict[str, Any] | None = None, **changes: Any) -> Path:
        rows = [{"source_id": k, "prompt": v, "metadata": {"domain": "x", "facts": ["y"]}} for k, v in ENGLISH.items()]
        (tmp_path / "english.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows), encoding="utf-8")
        section: dict[str, Any] = {
            "source": {"files": "english.jsonl"},
            "translator": {
                "name": "translator",
                "model": "m",
                "backend": "openai",
                "server": {"base_url": server.base_url, "max_retries": 1},
            },
        }
        settings: dict[str, Any] = {
            "name": "try",
            "languages": ["en", "da", "de"],
            "policy": {"name": "base", "model": "croco-nano"},
            "translate": {**section, **(translate or {})},
            "sample": {"n": 3, "max_new_tokens": 24},
            "scorers": [{"name": "implicit", "options": {"model": "croco-nano", "adapter": "croco-nano-sft"}}],
            "pair": {"pool": "all", "prompt_source": "random"},
            **changes,
        }
        path = tmp_path / "train.yaml"
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return path

    return write


def run(path: Path, *stages: str, progress: Any = None) -> list[str]:
    said: list[str] = []
    run_stages(read_train_config(path), stages, said.append, progress or Silent())
    return said


def translations(folder: Path) -> pd.DataFrame:
    parts = [pd.read_parquet(x) for x in (folder / "train/try/translate").glob("*/data.parquet")]
    return pd.concat(parts).set_index(["source_id", "language"]).sort_index()


def test_prompts_become_parallel_and_the_english_ones_stay_as_they_are(config, server: ScriptedServer, tmp_path: Path):
    said = run(config(), "translate")
    assert said == [
        "translate da: 4 of 4 prompts (1 in a language that can't be told)",
        "translate de: 4 of 4 prompts (1 in a language that can't be told)",
        "translate en: 4 of 4 prompts",
    ]
    rows = translations(tmp_path)
    assert {k: rows["prompt"][k, "da"] for k in ENGLISH} == GOOD["da"]
    assert {k: rows["prompt"][k, "en"] for k in ENGLISH} == ENGLISH
    assert json.loads(rows["metadata"]["mail", "da"]) == {"domain": "x"}, "English facts are not known of a translation"
    assert json.loads(rows["metadata"]["mail", "en"])["facts"] == ["y"]
    assert len(server.requests) == 8
    ledger = (tmp_path / "train/try/ledger.jsonl").read_text().splitlines()
    assert [json.loads(x)["caller"] for x in ledger] == ["model m"] * 8
    prompts = load_prompts(read_train_config(tmp_path / "train.yaml"))
    assert [(x.prompt_id, x.prompt) for x in prompts if x.language == "de"] == [
        (f"{k}/de", v) for k, v in GOOD["de"].items()
    ]
    assert run(config(), "translate") == said
    assert len(server.requests) == 8


FAULTS: dict[str, tuple[Act, str]] = {
    "code": (say(GOOD["da"]["code"].replace("x + 1", "x + 2")), "code block lost or altered"),
    "mail": (say(GOOD["da"]["mail"].replace("{name}", "{navn}")), "placeholder lost or altered"),
    "rainbow": (say(GOOD["de"]["rainbow"]), "in another language"),
}


def test_a_bad_translation_is_asked_for_again_and_dropped_with_its_reason(
    config, server: ScriptedServer, tmp_path: Path
):
    server.script = translator({(k, "da"): lambda _, act=act: act for k, (act, _) in FAULTS.items()})
    said = run(config(), "translate")
    assert said[0] == (
        "translate da: 1 of 4 prompts (1 in a language that can't be told); dropped: 1 x in another language, "
        "1 x code block lost or altered, 1 x placeholder lost or altered"
    )
    rows = translations(tmp_path)
    assert {k: rows["dropped"][k, "da"] for k in FAULTS} == {k: why for k, (_, why) in FAULTS.items()}
    assert rows["prompt"][[(k, "da") for k in FAULTS]].isna().all()
    assert "{navn}" in rows["answer"]["mail", "da"]
    assert set(rows["attempts"][[(k, "da") for k in FAULTS]]) == {2}
    again = [x for x in server.requests if x["temperature"]]
    assert sorted(asked(x)[0] for x in again) == sorted(FAULTS)
    assert rows["dropped"].xs("de", level="language").isna().all(), "dropped in one language, kept in the others"


def test_a_second_answer_that_is_good_is_kept(config, server: ScriptedServer, tmp_path: Path):
    server.script = translator(
        {("mail", "de"): lambda times: say("I'm sorry, but I can't do that.") if times == 1 else None}
    )
    run(config(), "translate")
    row = translations(tmp_path).loc["mail", "de"]
    assert (row["prompt"], row["attempts"]) == (GOOD["de"]["mail"], 2)


SOURCE = "Please write about the weather in the north of the country today."
DANISH = "Skriv venligst om vejret i den nordlige del af landet i dag."
LIMITS = Limits(0.4, 2.5)


@pytest.mark.parametrize(
    ("response", "dropped"),
    [
        (Response(DANISH, "stop"), None),
        (Response(f"<think>Weather is vejr.</think>\n{DANISH}", "stop"), None),
        (Response(DANISH, "length"), "cut off"),
        (Response("", "stop"), "empty answer"),
        (Response(None, "rejected: too long for the model"), "no answer (rejected: too long for the model)"),
        (Response("I can't help with that request, as it would be wrong to do so.", "stop"), "refused"),
        (Response("", "content_filter"), "refused"),
        (Response(SOURCE, "stop"), "in another language"),
        (Response(DANISH * 5, "stop"), "too long for its source"),
        (Response("Ja.", "stop"), "too short for its source"),
        (Response(f"{DANISH} {{name}}", "stop"), "placeholder added"),
        (Response(f"```\n{DANISH}\n```", "stop"), "code block added"),
    ],
)
def test_reasons_why_an_answer_is_no_translation(response: Response, dropped: str | None):
    found = check(SOURCE, response, "da", LIMITS)
    assert found.dropped == dropped
    if dropped is None:
        assert (found.text, found.in_language) == (DANISH, True)


def test_a_text_whose_language_cannot_be_told_is_kept_and_says_so():
    assert check("Hi!", Response("Hej!", "stop"), "da", LIMITS).in_language is None
    assert check(f"Fix:\n{CODE}", Response(f"Ret:\n{CODE}", "stop"), "da", LIMITS).dropped is None


def test_a_source_that_speaks_of_being_sorry_may_do_so_in_its_translation():
    source = "I'm sorry, I forgot. What was the name of the capital of Denmark again?"
    assert check(source, Response("I'm sorry", "stop"), "en", Limits(0, 9)).dropped is None


def test_texts_of_prompts_are_never_read_as_templates():
    assert ask("{language} {text} {code}", "da", None).endswith("Text:\n\n{language} {text} {code}")
    assert ask("Hi {code}", "da", "<<en>><<{code}>>{text} {other}") == "<<en>><<da>>Hi {code} {other}"


class Interrupting(Silent):
    """Ends the run once some answers are known."""

    def answers(self, done: int, expected: int) -> None:
        if done and not expected:
            raise KeyboardInterrupt


def test_an_interrupted_translation_asks_for_nothing_twice(config, server: ScriptedServer, tmp_path: Path):
    path = config()
    section = yaml.safe_load(path.read_text())
    section["translate"]["translator"]["server"]["max_concurrency"] = 1
    path.write_text(yaml.safe_dump(section))
    server.script = lambda body, times: say(GOOD[asked(body)[1]][asked(body)[0]], delay=0.05)
    with pytest.raises(KeyboardInterrupt):
        run(path, "translate", progress=Interrupting())
    log = (tmp_path / "train/try/translate/da/answers.jsonl").read_text().splitlines()
    assert 0 < len(log) < 4
    run(path, "translate")
    kept = {tuple(json.loads(x)["item_id"].split("/")) for x in log}
    counts = Counter(asked(x) for x in server.answered)
    assert all(counts[x] == 1 for x in kept)
    assert {(k, code): v for k, code, v in translations(tmp_path)["prompt"].reset_index().itertuples(index=False)} == {
        (k, code): v for code, texts in {**GOOD, "en": ENGLISH}.items() for k, v in texts.items()
    }


def test_a_server_that_fails_for_one_prompt_keeps_the_others(config, server: ScriptedServer):
    server.script = translator({("mail", "de"): lambda times: refuse(500) if times <= 2 else None})
    with pytest.raises(ServerError, match="left 1 requests unanswered"):
        run(config(), "translate")
    before = len(server.requests)
    run(config(), "translate")
    assert len(server.requests) == before + 1


def test_changed_inputs_are_refused_by_name(config, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch):
    run(config(), "translate")
    with pytest.raises(StoreError, match=r"stage 'translate da' was begun with other settings \(template: "):
        run(config({"template": "Into {language}: {text}"}), "translate")
    with pytest.raises(StoreError, match=r"max_ratio: 2.5 -> 3"):
        run(config({"max_ratio": 3}), "translate")
    monkeypatch.setitem(ENGLISH, "hello", "Hello there!")
    with pytest.raises(StoreError, match=r"\(prompts: "):
        run(config(), "translate")


def test_languages_come_and_go_without_translating_the_others_again(config, server: ScriptedServer):
    run(config(languages=["da"]), "translate")
    assert len(server.requests) == 4
    said = run(config(languages=["en", "de", "da"]), "translate")
    assert [x[:12] for x in said] == ["translate da", "translate de", "translate en"]
    assert len(server.requests) == 8
    server.script = translator({(k, "de"): lambda _: say("") for k in ENGLISH})
    path = config(out="other")
    run(path, "translate")
    with pytest.raises(DataError, match=r"no training prompts in language 'de': all .* were dropped"):
        run(path, "sample")


def test_long_prompts_are_left_out_in_every_language(config, tmp_path: Path):
    said = run(config({"max_characters": 90}), "translate")
    assert "1 x its English wording is longer than 90 characters" in said[0]
    rows = translations(tmp_path)
    assert rows["prompt"].xs("mail", level="source_id").isna().all()


def test_wrong_sections_and_sources_are_refused_in_a_sentence(config, tmp_path: Path):
    with pytest.raises(UserError, match="stage 'translate da' is not done"):
        run(config(), "sample")
    with pytest.raises(UserError, match=r"template must hold \{text\}"):
        run(config({"template": "Translate."}), "translate")
    with pytest.raises(UserError, match="either from a section `prompts` or from a section `translate`"):
        run(config(prompts={"corpus": "locale"}), "translate")
    path = config()
    (tmp_path / "english.jsonl").write_text('{"source_id": 1, "prompt": "a"}\n' * 2)
    with pytest.raises(DataError, match=r"1 ids stand for several prompts each in language 'en' \(first: '1/en'\)"):
        run(path, "translate")
    (tmp_path / "english.jsonl").write_text('{"prompt": "a", "metadata": "b"}\n')
    with pytest.raises(DataError, match="row 1: metadata is neither a mapping"):
        run(path, "translate")


def test_pools_of_all_languages_cope_with_prompts_that_some_languages_lack(
    config, server: ScriptedServer, tmp_path: Path
):
    server.script = translator({(k, "da"): lambda _, act=act: act for k, (act, _) in FAULTS.items()})
    run(config(), "translate", "sample", "score", "pair")
    candidates = pd.read_parquet(tmp_path / "train/try/sample/data.parquet")
    assert set(candidates["source_id"][candidates["language"] == "da"]) == {"hello"}
    assert candidates.groupby("source_id")["language"].nunique().to_dict() == {
        "code": 2, "hello": 3, "mail": 2, "rainbow": 2,
    }  # fmt: skip
    pairs = pd.read_parquet(tmp_path / "train/try/pair/data.parquet").set_index("source_id")
    assert len(pairs) == 4
    wordings = {(k, code): text for code, texts in {**GOOD, "en": ENGLISH}.items() for k, text in texts.items()}
    for source, x in pairs.iterrows():
        assert x["prompt"] == wordings[str(source), x["prompt_language"]]
        assert source == "hello" or "da" not in (x["prompt_language"], x["chosen_language"], x["rejected_language"])
    answers = pd.read_feather(tmp_path / "train/try/sample/data.arrow")["answer"]
    sizes = candidates[answers != ""].groupby("source_id").size()
    assert pairs["pool_size"].to_dict() == sizes.to_dict()


def test_a_real_server_translates_and_what_it_says_is_judged(served: str, nano: Path, config, tmp_path: Path):
    system = {
        "name": "nano",
        "model": str(nano),
        "backend": "openai",
        "server": {"base_url": served, "max_concurrency": 2},
        "generation": {"max_new_tokens": 12},
    }
    said = run(config({"translator": system, "attempts": 1}, languages=["en", "da"]), "translate")
    assert said[1] == "translate en: 4 of 4 prompts"
    rows = translations(tmp_path).xs("da", level="language")
    assert rows["answer"].str.len().gt(0).all()
    assert rows["dropped"].notna().any(), "a model of a few million parameters can't translate"
    ledger = [json.loads(x) for x in (tmp_path / "train/try/ledger.jsonl").read_text().splitlines()]
    assert all(x["outcome"] == "ok" and x["tokens_in"] > 50 for x in ledger)


def test_a_model_in_this_process_translates_too(config, tmp_path: Path):
    system = {"name": "nano", "model": "croco-nano", "generation": {"max_new_tokens": 12}}
    said = run(config({"translator": system, "attempts": 2}, languages=["da"]), "translate")
    assert len(said) == 1
    rows = translations(tmp_path)
    assert len(rows) == 4
    assert set(rows["attempts"]) <= {1, 2}
