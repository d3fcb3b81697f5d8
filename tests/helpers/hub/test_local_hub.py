"""The local hub: what the real clients make of its answers and of its faults."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .files import dataset_files
from .fixtures import LocalHub
from .server import OWNER_TOKEN, Fault, Request

Question = dict[str, Any]
Answers = dict[str, dict[str, Any]]

ROWS = [{"question": f"Q{i}", "answer": i} for i in range(20)]
PARQUET = "da/test-00000-of-00001.parquet"
NOWHERE = "0" * 40
MODEL = {"config.json": b'{"model_type": "llama"}', "model.safetensors": bytes(3000), "extra/notes.txt": b"one\n"}
FAULTS = {
    "no-entry": (Fault.ENTRY_NOT_FOUND, {"files": "*.parquet"}),
    "down": (Fault.SERVER_ERROR, {}),
    "unavailable": (Fault.UNAVAILABLE, {"files": "*.parquet", "method": "GET"}),
    "unavailable-once": (Fault.UNAVAILABLE, {"times": 1}),
    "limited": (Fault.RATE_LIMITED, {"files": "*.parquet", "method": "GET"}),
    "silent": (Fault.TIMEOUT, {}),
    "silent-file": (Fault.TIMEOUT, {"files": "*.parquet", "method": "GET"}),
    "cut": (Fault.TRUNCATED, {"files": "*.parquet"}),
    "cut-once": (Fault.TRUNCATED, {"files": "*.parquet", "times": 1}),
}


def ask(environment: Mapping[str, str], questions: Mapping[str, Question]) -> Answers:
    script = Path(__file__).with_name("ask.py")
    done = subprocess.run(
        [sys.executable, str(script)],
        input=json.dumps(questions),
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows(name: str, config: str | None, split: str = "test", revision: str | None = None, **more: Any) -> Question:
    return {
        "call": "load_dataset",
        "with": {"path": f"test/{name}", "name": config, "split": split, "revision": revision, **more},
    }


def snapshot(name: str, revision: str | None = None) -> Question:
    return {"call": "snapshot_download", "with": {"repo_id": f"test/{name}", "revision": revision}}


def api(method: str, name: str, **more: Any) -> Question:
    return {"call": "api", "with": {"method": method, "repo_id": f"test/{name}", **more}}


@dataclass
class World:
    """A hub with all repositories of this file, and the cache folder of the processes that ask it."""

    hub: LocalHub
    folder: Path
    sha: dict[str, str] = field(default_factory=dict)
    asked_offline: list[Request] = field(default_factory=list)

    def fill(self) -> None:
        two = dataset_files({"da": {"test": ROWS, "train": ROWS[:3]}, "sv": {"test": ROWS[:5]}})
        self.sha["old"] = self.hub.add_dataset("test/qa", two)
        self.sha["new"] = self.hub.add_dataset("test/qa", dataset_files({"da": {"test": ROWS[:7]}}))
        self.hub.tag("test/qa", "v1", self.sha["old"])
        one = dataset_files({"da": {"test": ROWS}})
        for name, (fault, how) in FAULTS.items():
            self.sha[name] = self.hub.add_dataset(f"test/{name}", one)
            self.hub.fail(f"test/{name}", fault, **how)
        for name in ("gated", "gated-open"):
            self.sha[name] = self.hub.add_dataset(f"test/{name}", one, gated=True)
        for name in ("private", "private-open"):
            self.sha[name] = self.hub.add_dataset(f"test/{name}", one, private=True)
        self.sha["lost"] = self.hub.add_dataset("test/lost", {"README.md": one["README.md"]})
        self.sha["plain"] = self.hub.add_dataset("test/plain", dataset_files({"default": {"test": ROWS}}, card=False))
        self.sha["jsonl"] = self.hub.add_dataset("test/jsonl", dataset_files({"da": {"test": ROWS}}, "jsonl"))
        by_config = dataset_files({"dan_Latn": {"test": ROWS}}, "tsv", path="data/{config}/{split}.{suffix}")
        self.sha["tsv"] = self.hub.add_dataset("test/tsv", by_config)
        self.sha["model"] = self.hub.add_model("test/model", MODEL)
        self.sha["gated-model"] = self.hub.add_model("test/gated-model", MODEL, gated=True)
        self.sha["cut-model"] = self.hub.add_model("test/cut-model", MODEL)
        self.hub.fail("test/cut-model", Fault.TRUNCATED)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with LocalHub() as hub:
        world = World(hub, tmp_path_factory.mktemp("hub"))
        world.fill()
        yield world


@pytest.fixture(scope="module")
def online(world: World) -> Answers:
    """Everything that is asked of the running hub, in one process."""
    sha = world.sha
    return ask(
        world.hub.environment(world.folder),
        {
            "old": rows("qa", "da", revision=sha["old"]),
            "other config": rows("qa", "sv", revision=sha["old"]),
            "other split": rows("qa", "da", "train", revision=sha["old"]),
            "new": rows("qa", "da", revision=sha["new"]),
            "main": rows("qa", "da", revision="main"),
            "tag": rows("qa", "sv", revision="v1"),
            "no config": rows("qa", "fi", revision=sha["old"]),
            "no split": rows("qa", "da", "validation", revision=sha["old"]),
            "no revision": rows("qa", "da", revision=NOWHERE),
            "missing": rows("nowhere", "da", revision=NOWHERE),
            "private to owner": rows("private-open", "da", revision=sha["private-open"], token=OWNER_TOKEN),
            "gated to owner": rows("gated-open", "da", revision=sha["gated-open"], token=OWNER_TOKEN),
            "gated to stranger": rows("gated", "da", revision=sha["gated"], token="hf_stranger"),
            **{x: rows(x, "da", revision=sha[x]) for x in (*FAULTS, "gated", "private", "lost", "jsonl")},
            "plain": rows("plain", None, revision=sha["plain"]),
            "tsv": rows("tsv", "dan_Latn", revision=sha["tsv"]),
            "model": snapshot("model"),
            "model, no revision": snapshot("model", "v9"),
            "gated model": snapshot("gated-model"),
            "missing model": snapshot("nowhere"),
            "cut model": snapshot("cut-model"),
            "one file": {"call": "hf_hub_download", "with": {"repo_id": "test/model", "filename": "config.json"}},
            "no file": {"call": "hf_hub_download", "with": {"repo_id": "test/model", "filename": "nothing.json"}},
            "dataset_info": api("dataset_info", "qa", files_metadata=True),
            "dataset_info, old": api("dataset_info", "qa", revision=sha["old"]),
            "dataset_info, gated": api("dataset_info", "gated", timeout=5),
            "dataset_info, silent": api("dataset_info", "silent", timeout=0.5),
            "auth_check, gated": api("auth_check", "gated", repo_type="dataset"),
            "model_info": api("model_info", "model"),
            "tree": api("list_repo_tree", "qa", repo_type="dataset", revision=sha["old"]),
            "whole tree": api("list_repo_tree", "model", recursive=True, expand=True),
            "paths": api("get_paths_info", "model", paths=["config.json", "extra", "nothing"]),
            "refs": api("list_repo_refs", "qa", repo_type="dataset"),
        },
    )


@pytest.fixture(scope="module")
def offline(world: World, online: Answers) -> Answers:
    """What a process that is not to use the network still gets from the caches."""
    before = len(world.hub.requests)
    file = {"repo_id": "test/qa", "repo_type": "dataset", "filename": PARQUET}
    answers = ask(
        world.hub.environment(world.folder, offline=True),
        {
            "data set": rows("plain", None, revision=world.sha["plain"]),
            "config": rows("qa", "sv", revision=world.sha["old"]),
            "old file": {"call": "hf_hub_download", "with": {**file, "revision": world.sha["old"]}},
            "new file": {"call": "hf_hub_download", "with": {**file, "revision": world.sha["new"]}},
            "model": snapshot("model"),
            "never loaded": rows("cut", "da", revision=world.sha["cut"]),
            "never loaded model": snapshot("gated-model"),
        },
    )
    world.asked_offline = world.hub.requests[before:]
    return answers


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("old", 20),
        ("other config", 5),
        ("other split", 3),
        ("new", 7),
        ("main", 7),
        ("tag", 5),
        ("private to owner", 20),
        ("gated to owner", 20),
        ("plain", 20),
        ("jsonl", 20),
        ("tsv", 20),
        ("unavailable-once", 20),
        ("cut-once", 20),
    ],
)
def test_load_dataset_gives_the_rows_of_the_config_split_and_revision(online, question, count):
    assert online[question] == {"value": ROWS[:count]}


FAILURES = {
    "missing": ("datasets.exceptions.DatasetNotFoundError", "Dataset 'test/nowhere' doesn't exist on the Hub"),
    "private": ("datasets.exceptions.DatasetNotFoundError", "Dataset 'test/private' doesn't exist on the Hub"),
    "no revision": ("datasets.exceptions.DatasetNotFoundError", f"Revision '{NOWHERE}' doesn't exist for dataset"),
    "gated": (
        "datasets.exceptions.DatasetNotFoundError",
        "Dataset 'test/gated' is a gated dataset on the Hub. You must",
    ),
    "gated to stranger": ("datasets.exceptions.DatasetNotFoundError", "Dataset 'test/gated' is a gated dataset"),
    "no config": ("builtins.ValueError", "BuilderConfig 'fi' not found. Available: ['da', 'sv']"),
    "no split": ("builtins.ValueError", 'Unknown split "validation". Should be one of ['),
    "lost": ("builtins.FileNotFoundError", "Couldn't find any data file at"),
    "no-entry": ("builtins.FileNotFoundError", "404 Client Error."),
    "down": ("builtins.FileNotFoundError", "Couldn't find any data file at"),
    "unavailable": ("huggingface_hub.errors.HfHubHTTPError", "Server error '503 Service Unavailable'"),
    "limited": ("huggingface_hub.errors.HfHubHTTPError", "429 Too Many Requests"),
    "silent": ("builtins.ConnectionError", "Couldn't reach 'test/silent' on the Hub (LocalEntryNotFoundError)"),
    "silent-file": ("httpx2.ReadTimeout", "timed out"),
    "cut": ("httpx2.RemoteProtocolError", "peer closed connection without sending complete message body"),
    "model, no revision": ("huggingface_hub.errors.RevisionNotFoundError", "404 Client Error."),
    "gated model": ("huggingface_hub.errors.GatedRepoError", "401 Client Error."),
    "missing model": ("huggingface_hub.errors.RepositoryNotFoundError", "401 Client Error."),
    "cut model": ("httpx2.RemoteProtocolError", "peer closed connection without sending complete message body"),
    "no file": ("huggingface_hub.errors.RemoteEntryNotFoundError", "404 Client Error."),
    "dataset_info, silent": ("httpx2.ReadTimeout", "timed out"),
    "auth_check, gated": ("huggingface_hub.errors.GatedRepoError", "401 Client Error."),
}


@pytest.mark.parametrize("question", FAILURES)
def test_failure_is_the_one_of_the_real_hub(online, question):
    error, start = FAILURES[question]
    assert online[question].get("error") == error, online[question]
    assert online[question]["message"].startswith(start)


def test_models_are_downloaded_whole(online):
    assert online["model"] == {"value": {name: len(content) for name, content in MODEL.items()}}
    assert online["one file"] == {"value": len(MODEL["config.json"])}


def test_information_names_the_commit_and_its_files(world, online):
    new, old = online["dataset_info"]["value"], online["dataset_info, old"]["value"]
    assert (new["sha"], old["sha"]) == (world.sha["new"], world.sha["old"])
    assert set(new["files"]) == {"README.md", PARQUET}
    assert all(size > 0 for size in new["files"].values())
    assert len(old["files"]) == 4
    assert online["model_info"]["value"]["sha"] == world.sha["model"]
    assert online["dataset_info, gated"]["value"]["gated"] == "manual"
    assert online["refs"] == {"value": {"main": world.sha["new"], "v1": world.sha["old"]}}


def test_trees_list_files_and_folders(online):
    assert set(online["tree"]["value"]) == {"README.md", "da", "sv"}
    assert set(online["whole tree"]["value"]) == {*MODEL, "extra"}
    assert online["paths"] == {"value": {"config.json": len(MODEL["config.json"]), "extra": None}}


def test_each_file_is_downloaded_once_for_a_commit(world, online):
    assert online["jsonl"] == {"value": ROWS}
    assert world.hub.downloads("test/jsonl") == ["README.md", "da/test-00000-of-00001.jsonl"]
    assert world.hub.downloads("test/gated") == ["README.md"]


def test_offline_process_gets_what_was_downloaded(offline):
    assert offline["data set"] == {"value": ROWS}
    assert offline["config"] == {"value": ROWS[:5]}
    assert offline["old file"]["value"] != offline["new file"]["value"]
    assert offline["model"] == {"value": {name: len(content) for name, content in MODEL.items()}}


def test_offline_process_is_refused_what_was_not_downloaded(offline):
    assert offline["never loaded"]["error"] == "builtins.ConnectionError"
    assert offline["never loaded"]["message"] == "Couldn't reach 'test/cut' on the Hub (OfflineModeIsEnabled)"
    assert offline["never loaded model"]["error"] == "huggingface_hub.errors.LocalEntryNotFoundError"


@pytest.mark.usefixtures("offline")
def test_offline_process_asks_nothing(world):
    assert world.hub.requests
    assert world.asked_offline == []


def test_closed_hub_refuses_connections(tmp_path):
    with LocalHub() as gone:
        environment = gone.environment(tmp_path)
    answers = ask(environment, {"model": snapshot("model"), "info": api("model_info", "model", timeout=5)})
    assert answers["model"]["error"] == "huggingface_hub.errors.LocalEntryNotFoundError"
    assert answers["model"]["message"].startswith("Got: ConnectError")
    assert answers["info"]["error"] == "httpx2.ConnectError"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


def fetch(hub: LocalHub, path: str, method: str = "GET", **headers: str) -> Reply:
    connection = http.client.HTTPConnection(hub.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return Reply(response.status, dict(response.headers), response.read())
    finally:
        connection.close()


def test_file_is_served_with_its_commit_hash_and_size(hub):
    sha = hub.add_model("test/tiny", {"a.txt": b"0123456789", "w.safetensors": b"0123456789"})
    text, weights = (fetch(hub, f"/test/tiny/resolve/main/{x}", "HEAD") for x in ("a.txt", "w.safetensors"))
    assert (text.status, text.body, text.headers["Content-Length"]) == (200, b"", "10")
    assert text.headers["X-Repo-Commit"] == weights.headers["X-Repo-Commit"] == sha
    assert text.headers["ETag"] == '"ad471007bd7f5983d273b9584e5629230150fd54"'  # git hash-object a.txt
    assert weights.headers["X-Linked-Size"] == "10"
    assert weights.headers["X-Linked-Etag"].strip('"').startswith("84d89877f0d4041e")  # sha256sum w.safetensors


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [("bytes=4-", 206, b"456789"), ("bytes=2-4", 206, b"234"), ("bytes=-3", 206, b"789"), ("bytes=10-", 416, None)],
)
def test_part_of_a_file_is_served(hub, asked, status, body):
    hub.add_model("test/tiny", {"a.txt": b"0123456789"})
    reply = fetch(hub, "/test/tiny/resolve/main/a.txt", Range=asked)
    assert reply.status == status
    assert reply.headers["Content-Range"].endswith("/10")
    assert body is None or reply.body == body


def test_fault_ends_after_its_times_and_when_mended(hub):
    hub.add_model("test/tiny", {"a.txt": b"text"})
    hub.fail("test/tiny", Fault.UNAVAILABLE, times=2)
    path = "/test/tiny/resolve/main/a.txt"
    assert [fetch(hub, path).status for _ in range(3)] == [503, 503, 200]
    hub.fail("test/tiny", Fault.SERVER_ERROR)
    assert fetch(hub, path).status == 500
    hub.mend("test/tiny")
    assert fetch(hub, path).status == 200
    hub.remove("test/tiny")
    assert fetch(hub, path).status == 401


def test_truncated_file_ends_half_way_for_every_part_that_is_asked(hub):
    hub.add_model("test/tiny", {"a.txt": b"0123456789"})
    hub.fail("test/tiny", Fault.TRUNCATED)
    for start, left in ((None, b"01234"), (3, b"34"), (5, b"")):
        headers = {} if start is None else {"Range": f"bytes={start}-"}
        with pytest.raises(http.client.IncompleteRead) as cut:
            fetch(hub, "/test/tiny/resolve/main/a.txt", **headers)
        assert cut.value.partial == left


def test_silent_hub_closes_the_connection_in_the_end():
    with LocalHub(hang_seconds=0.1) as hub:
        hub.add_model("test/tiny", {"a.txt": b"text"})
        hub.fail("test/tiny", Fault.TIMEOUT)
        with pytest.raises(http.client.RemoteDisconnected):
            fetch(hub, "/api/models/test/tiny")


def test_strangers_with_a_token_are_refused_with_other_codes(hub):
    hub.add_model("test/private", {"a.txt": b"text"}, private=True)
    hub.add_model("test/gated", {"a.txt": b"text"}, gated=True)
    stranger = {"Authorization": "Bearer hf_stranger"}
    private = fetch(hub, "/test/private/resolve/main/a.txt", **stranger)
    gated = fetch(hub, "/test/gated/resolve/main/a.txt", **stranger)
    assert (private.status, private.headers["X-Error-Code"]) == (404, "RepoNotFound")
    assert (gated.status, gated.headers["X-Error-Code"]) == (403, "GatedRepo")


def test_environment_keeps_nothing_of_the_users_hub_settings(hub, tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HF_DATASETS_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "https_proxy"):
        monkeypatch.setenv(name, "1")
    online, offline = hub.environment(tmp_path), hub.environment(tmp_path, offline=True, token="hf_x")
    assert not online.keys() & {
        "HF_TOKEN",
        "HF_DATASETS_CACHE",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "https_proxy",
    }
    assert online["HF_ENDPOINT"] == hub.url
    assert Path(online["HF_HOME"]).is_relative_to(tmp_path)
    assert (offline["HF_HUB_OFFLINE"], offline["HF_TOKEN"]) == ("1", "hf_x")
