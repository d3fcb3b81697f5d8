"""The run's configuration: what it means, and what is said of a wrong one."""

from __future__ import annotations

import json

import pytest
import yaml
from croco_eval.harness.config.run_config import RunConfig, dump_config, flatten, parse_config, read_config
from croco_eval.harness.errors import UserError
from croco_eval.harness.text.languages import GROUPS
from hypothesis import given, settings
from hypothesis import strategies as st

BASE = """\
name: trial
languages: [da, de]
systems:
  - name: base
    model: croco-nano
  - name: tuned
    model: croco-nano
    generation:
      temperature: 0.5
reference: base
suites:
  - locale
judges: [reference]
seed: 3
"""
SHORTEST = "{name: a, systems: [{name: b, model: croco-nano}], suites: [locale]}"


@pytest.fixture
def parse(tmp_path):
    def parse(text: str) -> RunConfig:
        return parse_config(text, source="my.yaml", folder=tmp_path)

    return parse


@pytest.fixture
def refusal(parse):
    def refusal(text: str) -> str:
        with pytest.raises(UserError) as refused:
            parse(text)
        return str(refused.value)

    return refusal


def _with(old: str, new: str) -> str:
    assert BASE.count(old) == 1
    return BASE.replace(old, new)


def _line(text: str, words: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if words in line)


# What a config means


def test_shortest_config_gets_every_default(parse):
    config = parse(SHORTEST)
    assert config.languages == list(GROUPS["paper"])
    assert config.reference == config.reference_name == "b"
    assert config.seed == 0
    assert config.judges == []
    assert config.systems[0].backend == "hf"
    assert config.systems[0].generation.temperature == 0.0
    assert config.suites[0].limit is None


def test_dumped_config_has_every_default_written_out(parse):
    dumped = yaml.safe_load(dump_config(parse(SHORTEST)))
    assert set(dumped) == set(RunConfig.model_fields)
    system = dumped["systems"][0]
    assert system["dtype"] == "auto"
    assert system["chat_template"] is True
    assert system["adapter"] is None
    assert set(system["generation"]) == {
        "max_new_tokens",
        "temperature",
        "top_p",
        "top_k",
        "repetition_penalty",
        "stop",
    }
    assert dumped["languages"] == list(GROUPS["paper"])


@pytest.mark.parametrize("text", [SHORTEST, BASE])
def test_dumped_config_parses_to_the_same_config(parse, text):
    config = parse(text)
    assert parse(dump_config(config)) == config
    assert dump_config(parse(dump_config(config))) == dump_config(config)


names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9.-]{0,6}\Z")
texts = st.text(st.characters(exclude_characters="\x85", exclude_categories=["Cs"]), max_size=5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    systems=st.lists(names, min_size=1, max_size=3, unique=True),
    suites=st.lists(names, min_size=1, max_size=2, unique=True),
    stop=st.lists(texts, max_size=2),
    options=st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts, max_size=3),
)
def test_any_config_survives_being_dumped(tmp_path_factory, systems, suites, stop, options):
    folder = tmp_path_factory.getbasetemp()
    config = RunConfig.model_validate(
        {
            "name": systems[0],
            "languages": ["no"],
            "systems": [{"name": x, "model": "owner/no", "generation": {"stop": stop}} for x in systems],
            "reference": systems[-1],
            "suites": suites,
            "judges": [{"name": "on", "options": options}],
        }
    )
    text = dump_config(config)
    assert parse_config(text, "dump", folder) == config
    assert yaml.safe_load(text) == config.model_dump(mode="json")


@pytest.mark.parametrize("stop", ["\n", "\r\n", "\u2028", "\x85", "'", '"', "#", ": ", "no", "1", "~", " "])
def test_any_stop_string_survives_being_dumped(parse, stop):
    config = parse(
        SHORTEST.replace("model: croco-nano", f"model: croco-nano, generation: {json.dumps({'stop': [stop]})}")
    )
    assert config.systems[0].generation.stop == [stop]
    assert parse(dump_config(config)) == config


@pytest.mark.parametrize("written", ["[da, no]", "[no, da]", "[nb, da]", "[da, 'no']", "\n- no\n- da"])
def test_no_is_norwegian_and_not_false(parse, written):
    config = parse(_with("[da, de]", written))
    assert config.languages == ["da", "no"]
    assert yaml.safe_load(dump_config(config))["languages"] == ["da", "no"]


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "n", "y"])
def test_words_that_yaml_1_1_takes_for_truth_values_are_names(parse, word):
    text = _with("name: trial", f"name: {word}")
    assert parse(text).name == word
    assert parse(dump_config(parse(text))).name == word


@pytest.mark.parametrize("word", ["true", "True", "false"])
def test_true_and_false_are_truth_values(parse, word):
    config = parse(_with("    generation:", f"    chat_template: {word}\n    generation:"))
    assert config.systems[1].chat_template is (word.lower() == "true")


@pytest.mark.parametrize("written", ["paper", "[paper]", "[paper, da]"])
def test_group_of_languages_is_resolved_to_codes(parse, written):
    assert parse(_with("[da, de]", written)).languages == list(GROUPS["paper"])


def test_suite_and_judge_by_name_alone_mean_the_same_as_written_out(parse):
    written_out = _with("  - locale\n", "  - name: locale\n").replace("[reference]", "[{name: reference}]")
    assert written_out != BASE
    assert parse(written_out) == parse(BASE)


def test_names_and_written_out_entries_can_be_mixed(parse):
    config = parse(_with("  - locale\n", "  - locale\n  - {name: mine, task: my_task, limit: 5}\n"))
    assert [(x.name, x.task, x.limit) for x in config.suites] == [("locale", None, None), ("mine", "my_task", 5)]


def test_first_system_is_the_reference_unless_another_is_named(parse):
    assert parse(_with("reference: base\n", "")).reference == "base"
    assert parse(_with("reference: base", "reference: tuned")).reference == "tuned"


# Paths


@pytest.mark.parametrize("written", ["./mine", "models/mine", "models/deep/mine", "./models/../mine"])
def test_relative_model_path_becomes_absolute_when_it_exists(parse, tmp_path, written):
    (tmp_path / "models").mkdir()
    (tmp_path / written).mkdir(parents=True)
    model = parse(_with("base\n    model: croco-nano", f"base\n    model: {written}")).systems[0].model
    assert model == str((tmp_path / written).resolve())


@pytest.mark.parametrize("written", ["./mine", "models/mine", "models/deep/mine", "croco-nano", "/nowhere/at/all"])
def test_model_that_is_no_existing_folder_is_kept_as_written(parse, written):
    assert parse(_with("base\n    model: croco-nano", f"base\n    model: {written}")).systems[0].model == written


def test_relative_paths_are_taken_from_the_configs_folder_not_the_current_one(tmp_path, monkeypatch):
    (tmp_path / "there" / "out").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    file = tmp_path / "there" / "run.yaml"
    text = _with("    generation:", "    adapter: ./out\n    generation:") + "task_path: my/tasks\n"
    file.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "here")
    config = read_config(file)
    assert config.systems[1].adapter == str(tmp_path / "there" / "out")
    assert config.systems[0].adapter is None
    assert config.task_path == str(tmp_path / "there" / "my" / "tasks")


def test_missing_config_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no config file .*absent\.yaml"):
        read_config(tmp_path / "absent.yaml")


def test_config_file_that_is_no_utf8_is_refused(tmp_path):
    (tmp_path / "run.yaml").write_bytes(BASE.replace("trial", "tri\u00e5l").encode("latin-1"))
    with pytest.raises(UserError, match=r"run\.yaml can't be read"):
        read_config(tmp_path / "run.yaml")


def test_folder_as_config_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="can't be read"):
        read_config(tmp_path)


# What is said of a wrong config


@pytest.mark.parametrize(
    ("old", "new", "key", "near"),
    [
        ("seed: 3", "sede: 3", "'sede'", "'seed'"),
        ("suites:\n", "suits: []\nsuites:\n", "'suits'", "'suites'"),
        ("reference: base", "referense: base", "'referense'", "'reference'"),
        (
            "      temperature: 0.5",
            "      temprature: 0.5",
            "'systems.1.generation.temprature'",
            "'temperature'",
        ),
        ("  - locale", "  - {name: locale, limt: 3}", "'suites.0.limt'", "'limit'"),
        ("[reference]", "[{name: reference, optoins: {}}]", "'judges.0.optoins'", "'options'"),
        ("    generation:\n", "    adaptor: x\n    generation:\n", "'systems.1.adaptor'", "'adapter'"),
    ],
)
def test_unknown_key_names_line_and_near_key(refusal, old, new, key, near):
    text = _with(old, new)
    word = key.strip("'").rsplit(".", 1)[-1]
    said = refusal(text)
    assert f"my.yaml:{_line(text, word)}: unknown key {key}" in said
    assert f"did you mean {near}" in said


def test_unknown_key_like_no_other_gets_no_suggestion(refusal):
    said = refusal(BASE + "zzzzzzzz: 1\n")
    assert "unknown key 'zzzzzzzz'" in said
    assert "did you mean" not in said


def test_message_ends_in_one_punctuation_mark(refusal):
    assert not refusal(_with("seed: 3", "sede: 3")).endswith("?.")


@pytest.mark.parametrize(
    ("old", "new", "path", "word"),
    [
        ("seed: 3", "seed: soon", "seed", "seed:"),
        ("seed: 3", "seed: -1", "seed", "seed:"),
        ("temperature: 0.5", "temperature: warm", "systems.1.generation.temperature", "temperature"),
        ("temperature: 0.5", "top_p: 1.5", "systems.1.generation.top_p", "top_p"),
        ("temperature: 0.5", "max_new_tokens: 0", "systems.1.generation.max_new_tokens", "max_new_tokens"),
        ("  - locale", "  - {name: locale, limit: 2.5}", "suites.0.limit", "limit"),
        ("[reference]", "reference", "judges", "judges:"),
        ("[da, de]", "{da: 1}", "languages", "languages:"),
        ("name: trial", "name: my trial", "name", "name: my"),
        ("name: trial", "name: ../trial", "name", "name: .."),
        ("    generation:\n", "    dtype: float64\n    generation:\n", "systems.1.dtype", "dtype"),
    ],
)
def test_wrong_value_names_line_and_field(refusal, old, new, path, word):
    text = _with(old, new)
    assert f"my.yaml:{_line(text, word)}: {path}: " in refusal(text)


def test_missing_field_is_named_with_the_line_of_its_section(refusal):
    text = _with("  - name: tuned\n    model: croco-nano\n", "  - name: tuned\n")
    assert refusal(text) == f"my.yaml:{_line(text, 'tuned')}: systems.1.model: is missing."


def test_every_error_is_told_at_once(refusal):
    said = refusal(_with("seed: 3", "seed: soon").replace("0.5", "warm")).splitlines()
    assert len(said) == 2


@pytest.mark.parametrize("section", ["systems", "suites"])
def test_empty_list_of_systems_or_suites_is_refused(refusal, section):
    data = yaml.safe_load(BASE) | {section: []}
    assert f"{section}: " in refusal(yaml.safe_dump(data))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: tuned", "name: base", "two of them have the name 'base'"),
        ("  - locale\n", "  - locale\n  - {name: locale, limit: 1}\n", "two of them have the name 'locale'"),
        ("[reference]", "[reference, reference]", "two of them have the name 'reference'"),
    ],
)
def test_name_that_stands_twice_is_refused(refusal, old, new, said):
    assert said in refusal(_with(old, new))


def test_reference_that_is_no_system_is_refused_with_the_systems_names(refusal):
    said = refusal(_with("reference: base", "reference: bass"))
    assert "reference: 'bass' is not one of the systems (base, tuned)" in said
    assert "did you mean 'base'" in said


def test_reference_that_is_no_system_is_refused_at_its_own_line(refusal):
    text = _with("reference: base", "reference: bass")
    assert refusal(text).startswith(f"my.yaml:{_line(text, 'reference: bass')}: ")


def test_double_underscore_in_a_systems_name_is_refused_at_its_line(refusal):
    text = _with("name: tuned", "name: tuned__2")
    said = refusal(text)
    assert "'__'" in said
    assert said.startswith(f"my.yaml:{_line(text, 'tuned__2')}: ")


def test_wrong_language_is_refused_with_the_near_one(refusal):
    assert "did you mean 'de'" in refusal(_with("[da, de]", "[da, german]"))


def test_wrong_language_is_refused_with_file_and_line(refusal):
    """A wrong name is an error that names the file and the line, says the module."""
    text = _with("[da, de]", "[da, german]")
    assert refusal(text).startswith(f"my.yaml:{_line(text, 'german')}: ")


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ("name: [a\n", 2),
        (BASE + "extra: {a: 1\n", 16),
        ("name: a\n\tsystems: b\n", 2),
        ("name: a\nsystems: *unknown\n", 2),
        ("name: a\nsystems: !!python/object:os.system {}\n", 2),
    ],
)
def test_broken_yaml_names_the_line(refusal, broken, line):
    said = refusal(broken)
    assert said.startswith(f"my.yaml:{line}: not valid YAML: ")


def test_broken_value_of_a_known_yaml_type_is_a_users_error_too(refusal):
    assert "my.yaml" in refusal(_with("name: trial", "name: 2024-13-45"))


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "just words", "3"])
def test_config_that_is_no_mapping_is_refused(refusal, text):
    assert refusal(text).startswith("my.yaml: a config is a mapping")


def test_key_that_stands_twice_is_refused(refusal):
    """The file is strict; of two seeds one would silently win."""
    assert "seed" in refusal(BASE + "seed: 4\n")


# flatten


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        ({"a": {"b": 1}, "c": 2}, {"a.b": 1, "c": 2}),
        ({"a": [1, [2, 3]]}, {"a.0": 1, "a.1.0": 2, "a.1.1": 3}),
        (
            {"systems": [{"name": "x", "k": {"d": 1}}, {"name": "y"}]},
            {"systems.x.name": "x", "systems.x.k.d": 1, "systems.y.name": "y"},
        ),
        ({"a": []}, {"a": []}),
        ({"a": None, "b": ""}, {"a": None, "b": ""}),
        ({"a": ("x", "y")}, {"a.0": "x", "a.1": "y"}),
        ({1: {2: 3}}, {"1.2": 3}),
    ],
)
def test_flatten_names_every_leaf_by_its_path(nested, flat):
    assert flatten(nested) == flat


def test_flattened_config_does_not_depend_on_the_order_of_the_systems(parse):
    config = parse(BASE)
    swapped = config.model_copy(update={"systems": config.systems[::-1]})
    assert flatten(config.model_dump()) == flatten(swapped.model_dump())


def test_checkpoints_of_one_training_run_are_systems_with_their_step(parse, tmp_path):
    for step in (10, 5, 100):
        (tmp_path / "dpo" / f"checkpoint-{step}").mkdir(parents=True)
    (tmp_path / "dpo" / "checkpoint-best").mkdir()
    systems = "[{name: base, model: croco-nano}, {name: dpo, model: croco-nano, adapter: 'dpo/checkpoint-*'}]"
    text = f"{{name: a, systems: {systems}, suites: [locale], arms: {{dpo: dpo-100}}}}"
    config = parse(text)
    assert [(x.name, x.checkpoint_of, x.step) for x in config.systems] == [
        ("base", None, None),
        ("dpo-5", "dpo", 5),
        ("dpo-10", "dpo", 10),
        ("dpo-100", "dpo", 100),
    ]
    assert config.systems[1].adapter == str(tmp_path / "dpo" / "checkpoint-5")
    assert parse(dump_config(config)) == config


def test_a_pattern_that_no_checkpoint_fits_is_said(parse):
    systems = "[{name: base, model: croco-nano}, {name: dpo, model: croco-nano, adapter: 'gone/checkpoint-*'}]"
    with pytest.raises(UserError, match=r"dpo: no folder fits adapter 'gone/checkpoint-\*'"):
        parse(f"{{name: a, systems: {systems}, suites: [locale]}}")
