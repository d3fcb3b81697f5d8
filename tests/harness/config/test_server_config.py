"""What a config may say about a server: an address, the name of a variable that holds a key, prices, a budget."""

from __future__ import annotations

import pytest
from croco_eval.harness.config.server_config import ApiKey, Budget, Price, ServerSettings
from croco_eval.harness.config.strict import parse_options
from croco_eval.harness.errors import UserError
from pydantic import BaseModel, ConfigDict

GOOD = {"base_url": "http://127.0.0.1:8000/v1/", "model": "m"}


def settings(**changes: object) -> ServerSettings:
    return parse_options(ServerSettings, {**GOOD, **changes}, "server")


def test_address_is_kept_without_its_last_slash():
    assert settings().base_url == "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8000",
        "http://a b/v1",
        "ftp://host/v1",
        "http://",
        "http://me:secret@host/v1",
        "https://host/v1?api-key=secret",
        "",
    ],
)
def test_address_with_a_secret_or_without_a_host_is_refused_and_not_repeated(address):
    with pytest.raises(UserError) as refused:
        settings(base_url=address)
    assert "base_url" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("key", ["sk-proj-abc123", "gsk_abcDEF", "my key", ""])
def test_a_key_in_place_of_a_variables_name_is_refused_and_not_repeated(key):
    with pytest.raises(UserError) as refused:
        settings(api_key_env=key)
    assert "not the key itself" in str(refused.value)
    assert not key or key not in str(refused.value)


def test_key_is_read_from_the_named_variable(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", " k-12345678 \n")
    key = ApiKey.from_environment("JUDGE_KEY")
    assert key is not None
    assert key.reveal() == "k-12345678"
    assert "12345678" not in repr(key)
    assert f"{key}" == "ApiKey(***)"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_missing_key_is_named_by_its_variable(monkeypatch, value):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("JUDGE_KEY", value)
    with pytest.raises(UserError, match="JUDGE_KEY, which is not set"):
        ApiKey.from_environment("JUDGE_KEY")


def test_no_key_is_needed_where_none_is_named():
    assert ApiKey.from_environment(None) is None


def test_key_is_scrubbed_wherever_it_stands():
    assert ApiKey("k-12345678").scrub("Bearer k-12345678, 'k-12345678'") == "Bearer ***, '***'"


def test_placeholder_for_a_key_does_not_blot_out_words():
    assert ApiKey("EMPTY").scrub("an EMPTY answer") == "an EMPTY answer"


def test_price_is_per_million_tokens():
    assert Price(input=2.5, output=10).of(1_000_000, 100_000) == 3.5


@pytest.mark.parametrize("budget", [{}, {"money": 1, "tokens": 1}, {"money": 0}, {"tokens": -5}, {"coins": 1}])
def test_budget_is_money_or_tokens(budget):
    with pytest.raises(UserError):
        parse_options(Budget, budget, "judge 'llm'")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_ulr": "x"}, "no option 'base_ulr' - did you mean 'base_url'?"),
        ({"price": {"input": 1, "outputs": 2}}, "no option 'price.outputs' - did you mean 'output'?"),
        ({"price": {"input": 1, "outputs": 2}}, "option 'price.output' is missing"),
        ({"timeout": "soon"}, "option 'timeout': input should be a valid number"),
        ({"max_concurrency": 0}, "option 'max_concurrency': input should be greater than or equal to 1"),
        ({"model": None}, "option 'model'"),
    ],
)
def test_wrong_options_are_named_with_the_nearest_known_one(changes, said):
    with pytest.raises(UserError) as refused:
        settings(**changes)
    assert said in str(refused.value)
    assert str(refused.value).startswith("server")


def test_option_far_from_every_known_one_gets_the_list():
    class Few(BaseModel):
        model_config = ConfigDict(extra="forbid")
        depth: int = 1

    with pytest.raises(UserError, match=r"no option 'zzz'; known: depth\.$"):
        parse_options(Few, {"zzz": 1}, "stage 'x'")
