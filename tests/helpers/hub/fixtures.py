"""The fixture ``hub``: a local hub that runs for one test, and the environment that sends a process to it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from .repositories import Kind, Repository
from .server import Fault, HubServer, Request

FOREIGN = ("HF_", "HUGGING", "TRANSFORMERS_")
IMPATIENT = Path(__file__).resolve().with_name("impatient")


class LocalHub:
    """A hub on loopback for tests; use it as a context manager or take the fixture ``hub``.

    ``hang_seconds`` bounds how long a request that meets ``Fault.TIMEOUT`` is left without an answer; then the
    connection is closed. ``close`` ends such waits at once.
    """

    def __init__(self, hang_seconds: float = 20) -> None:
        self._server = HubServer(hang_seconds)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LocalHub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the server; from then on connections are refused."""
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add_dataset(self, name: str, files: Mapping[str, bytes], *, private: bool = False, gated: bool = False) -> str:
        """Adds a data set ("owner/name"), or a commit to it, that holds exactly ``files``; gives the commit's full sha.

        A private repository is missing for strangers; a gated one shows its card and its file list, but no file.
        The two settings hold for all commits, as last given.
        """
        return self._add("datasets", name, files, private=private, gated=gated)

    def add_model(self, name: str, files: Mapping[str, bytes], *, private: bool = False, gated: bool = False) -> str:
        """Adds a model, or a commit to it; otherwise as ``add_dataset``."""
        return self._add("models", name, files, private=private, gated=gated)

    def _add(self, kind: Kind, name: str, files: Mapping[str, bytes], *, private: bool, gated: bool) -> str:
        repository = self._server.repositories.get((kind, name)) or Repository(kind, name)
        repository.private, repository.gated = private, gated
        commit = repository.commit(files)
        self._server.repositories[kind, name] = repository
        return commit.sha

    def tag(self, name: str, tag: str, sha: str) -> None:
        """Names a commit of the repository ``name``; KeyError if there is no such repository."""
        found = [x for (_, known), x in self._server.repositories.items() if known == name]
        if not found:
            raise KeyError(name)
        for repository in found:
            repository.tags[tag] = sha

    def remove(self, name: str) -> None:
        """Takes the repository ``name`` off the hub with all its commits."""
        for key in [x for x in self._server.repositories if x[1] == name]:
            del self._server.repositories[key]

    def fail(
        self,
        name: str,
        fault: Fault,
        *,
        files: str | None = None,
        method: str | None = None,
        times: int | None = None,
    ) -> None:
        """Lets requests for the repository ``name`` meet ``fault``.

        ``files``: only requests for files whose path matches this shell pattern (default: every request).
        ``method``: only these, such as "GET". ``times``: the first so many (default: always). Faults are looked up in
        the order they were set. ``Fault.TRUNCATED`` meets downloads alone: half the file is sent, then the connection
        is closed.
        """
        self._server.plan(fault, name, files, method, times)

    def mend(self, name: str) -> None:
        """Takes back all faults of the repository ``name``."""
        self._server.plans[:] = [x for x in self._server.plans if x.repo != name]

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order they came in. A copy."""
        return list(self._server.requests)

    def downloads(self, name: str) -> list[str]:
        """Paths of the files of the repository ``name`` that were downloaded (GET), once for each time."""
        return [x.file for x in self.requests if (x.repo, x.action, x.method) == (name, "resolve", "GET")]

    def forget(self) -> None:
        """Empties the log of requests."""
        self._server.requests.clear()

    def environment(self, folder: Path, *, offline: bool = False, token: str | None = None) -> dict[str, str]:
        """The whole environment of a process that is to use this hub, with its caches under ``folder``.

        This process's own settings of the hub's libraries, its token and its proxies are left out. Timeouts are two
        seconds and retries few (see ``impatient/sitecustomize.py``). Both libraries read all this when they are
        imported, so it has no effect on a process that has loaded them.
        """
        kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN) and not k.lower().endswith("_proxy")}
        paths = [str(IMPATIENT), *filter(None, [kept.get("PYTHONPATH")])]
        settings = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(folder / "hf-home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_ETAG_TIMEOUT": "2",
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        if offline:
            settings["HF_HUB_OFFLINE"] = "1"
        if token is not None:
            settings["HF_TOKEN"] = token
        return kept | settings


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """A local hub without repositories."""
    with LocalHub() as local:
        yield local
