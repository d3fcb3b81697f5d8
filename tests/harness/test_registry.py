"""Names of suites, judges, backends, models and commands: what is registered, and what is said of what isn't."""

from __future__ import annotations

import pytest
from croco_eval.harness import registry
from croco_eval.harness.errors import ModelError, UserError

REGISTERED = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


def clear() -> None:
    registry._entries.cache_clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a distribution with entry points, as an installer would write it, on the path."""
    clear()

    def install(distribution: str, entry_points: str, **modules: str) -> None:
        site = tmp_path / f"site-{distribution}"
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        for name, code in modules.items():
            (site / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(site)
        clear()

    yield install
    clear()


def test_something_is_registered_in_every_kind_this_package_fills():
    filled = {kind for kind, _ in REGISTERED}
    assert filled == set(registry.KINDS)


@pytest.mark.parametrize(("kind", "name"), REGISTERED)
def test_every_registered_name_loads(kind, name):
    loaded = registry.load(kind, name)
    assert loaded is not None
    if kind == "models":
        try:
            folder = loaded()
        except ModelError as missing:
            pytest.skip(str(missing))
        assert folder.is_dir()


@pytest.mark.parametrize("name", registry.names("suites"))
def test_every_registered_suite_says_what_it_is(name):
    suite = registry.load("suites", name)
    assert suite.kind in ("structured", "open")
    assert suite.description


def test_names_are_sorted():
    assert list(registry.names("suites")) == sorted(registry.names("suites"))


@pytest.mark.parametrize(
    ("kind", "wrong", "near"),
    [
        ("suites", "lokale", "'locale'"),
        ("suites", "locale_open", "'locale-open'"),
        ("judges", "referense", "'reference'"),
        ("models", "croco-nanno", "'croco-nano'"),
        ("commands", "rnu", "'run'"),
    ],
)
def test_unknown_name_is_refused_with_the_near_ones(kind, wrong, near):
    with pytest.raises(UserError) as refused:
        registry.load(kind, wrong)
    said = str(refused.value)
    assert f"unknown {registry.KINDS[kind]} {wrong!r} - did you mean {near}" in said


def test_name_near_nothing_is_refused_with_all_that_are_known():
    with pytest.raises(UserError) as refused:
        registry.load("suites", "zzzzzzzz")
    said = str(refused.value)
    assert "did you mean" not in said
    assert all(name in said for name in registry.names("suites"))


def test_case_of_a_name_matters_but_is_forgiven_in_the_suggestion():
    with pytest.raises(UserError, match="did you mean 'locale'"):
        registry.load("suites", "Locale")


def test_unknown_name_of_a_kind_without_members_says_that_there_are_none(monkeypatch):
    monkeypatch.setattr(registry, "_entries", lambda kind: {})
    with pytest.raises(UserError, match="known: none"):
        registry.load("suites", "anything")


def test_a_kind_that_is_not_in_the_table_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="'engines'"):
        registry.names("engines")


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("seed", ["seed"], " - did you mean 'seed'?"),
        ("sede", {"seed": 1, "name": 2}, " - did you mean 'seed'?"),
        ("xyz", ["seed"], ""),
        ("a", [], ""),
    ],
)
def test_did_you_mean(word, known, said):
    assert registry.did_you_mean(word, known) == said


def test_third_partys_suite_is_found_beside_the_packages_own(install):
    own = registry.names("suites")
    install(
        "their-suite",
        "[croco_eval.suites]\ntheirs = their_suite_module:suite\n",
        their_suite_module="class Theirs:\n    kind = 'open'\nsuite = Theirs()\n",
    )
    assert set(registry.names("suites")) == {*own, "theirs"}
    assert type(registry.load("suites", "theirs")).__name__ == "Theirs"


def test_nothing_of_a_third_party_is_imported_before_it_is_asked_for(install):
    install(
        "their-judge",
        "[croco_eval.judges]\ntheirs = their_broken_module:judge\n",
        their_broken_module="raise RuntimeError('imported')\n",
    )
    assert "theirs" in registry.names("judges")
    registry.load("judges", "reference")
    with pytest.raises(RuntimeError, match="imported"):
        registry.load("judges", "theirs")


def test_two_packages_with_one_name_for_different_things_are_refused(install):
    install("first-one", "[croco_eval.judges]\nmine = first_module:judge\n")
    install("second-one", "[croco_eval.judges]\nmine = second_module:judge\n")
    with pytest.raises(UserError) as refused:
        registry.names("judges")
    said = str(refused.value)
    assert "judge 'mine'" in said
    assert "first_module:judge" in said
    assert "second_module:judge" in said


def test_another_package_cannot_take_over_a_name_of_this_one(install):
    install("thief", "[croco_eval.judges]\nreference = thief_module:judge\n")
    with pytest.raises(UserError, match="'reference'"):
        registry.load("judges", "reference")


def test_two_packages_that_register_the_same_thing_do_not_collide(install):
    for distribution in ("one", "one-again"):
        install(distribution, "[croco_eval.judges]\nmine = first_module:judge\n")
    assert "mine" in registry.names("judges")


def test_collision_in_one_kind_leaves_the_others_alone(install):
    install("first-one", "[croco_eval.judges]\nmine = first_module:judge\n")
    install("second-one", "[croco_eval.suites]\nmine = second_module:suite\n")
    assert "mine" in registry.names("judges")
    assert "mine" in registry.names("suites")
