"""A model and data hub on loopback: the part of the Hugging Face hub's HTTP interface that Python clients read with.

Answers, headers and error codes follow the public hub as ``huggingface_hub`` 2.4 and ``datasets`` 5.2 read it, with two
differences. Large files are served where they are asked for, not redirected to a storage host. A missing repository
carries ``X-Error-Code: RepoNotFound`` for anonymous readers too: the public hub sends them a bare 401, which the client
takes for "not found" on https addresses only.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from .repositories import PUBLIC_FILES, Blob, Commit, Kind, Repository

OWNER_TOKEN = "hf_owner"
"""With this token every repository can be read; any other token is a stranger's."""

_RESOLVE = re.compile(r"/(?:(?P<kind>datasets)/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_API = re.compile(
    r"/api/(?P<kind>datasets|models)/(?P<repo>[^/]+/[^/]+)"
    r"(?:/(?P<action>revision|tree|paths-info|refs|auth-check)(?:/(?P<revision>[^/]+)(?:/(?P<file>.+))?)?)?"
)


class Fault(StrEnum):
    """What a request meets in place of its answer."""

    GATED = "gated"
    REPO_NOT_FOUND = "repository not found"
    REVISION_NOT_FOUND = "revision not found"
    ENTRY_NOT_FOUND = "entry not found"
    RATE_LIMITED = "429"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"


@dataclass(frozen=True)
class Request:
    """One request as it came in. ``repo`` is "" where the address names none; ``action`` is info, tree, paths-info,
    refs, auth-check or resolve; ``file`` is the path in the repository."""

    method: str
    path: str
    kind: Kind = "models"
    repo: str = ""
    action: str = ""
    revision: str = "main"
    file: str = ""
    authorization: str = ""

    @classmethod
    def read(cls, method: str, path: str, authorization: str) -> Request:
        address = urlsplit(path).path
        if found := _RESOLVE.fullmatch(address):
            action = "resolve"
        elif found := _API.fullmatch(address):
            action = (found["action"] or "info").replace("revision", "info")
        else:
            return cls(method, path, authorization=authorization)
        revision, file = unquote(found["revision"] or "main"), unquote(found["file"] or "")
        kind = cast(Kind, found["kind"] or "models")
        return cls(method, path, kind, found["repo"], action, revision, file, authorization)


class Refusal(Exception):
    """An answer that is an error, in the hub's form."""

    def __init__(self, status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | dict(headers or {})


def refusal(fault: Fault, request: Request, commit: Commit | None = None) -> Refusal:
    """How the hub refuses ``request``. Strangers are told 401 without a token and 403 or 404 with one."""
    anonymous = not request.authorization
    if fault is Fault.GATED:
        what = f"Access to {request.kind[:-1]} {request.repo} is restricted"
        if anonymous:
            told = f"{what}. You must have access to it and be authenticated to access it. Please log in."
        else:
            told = f"{what} and you are not in the authorized list. Ask for access on its page."
        return Refusal(401 if anonymous else 403, told, "GatedRepo")
    if fault is Fault.REPO_NOT_FOUND:
        told = "Invalid username or password." if anonymous else "Repository not found"
        return Refusal(401 if anonymous else 404, told, "RepoNotFound")
    if fault is Fault.REVISION_NOT_FOUND:
        return Refusal(404, f"Invalid rev id: {request.revision}", "RevisionNotFound")
    if fault is Fault.ENTRY_NOT_FOUND:
        return Refusal(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.sha} if commit else {})
    status = int(fault)
    if status == 429:
        return Refusal(429, "We had to rate limit you.", headers={"RateLimit": '"api";r=0;t=1'})
    return Refusal(status, "Internal Error" if status == 500 else "Service Unavailable")


@dataclass
class _Plan:
    """A fault that waits for the requests it is meant for."""

    fault: Fault
    repo: str
    files: str | None
    method: str | None
    left: int | None

    def takes(self, request: Request) -> bool:
        if self.left == 0 or request.repo != self.repo or self.method not in (None, request.method):
            return False
        if self.fault is Fault.TRUNCATED and (request.action, request.method) != ("resolve", "GET"):
            return False
        return self.files is None or (request.action == "resolve" and fnmatchcase(request.file, self.files))


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HubServer  # type: ignore[assignment]

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing on stderr: ``HubServer.requests`` is the log."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request.read(self.command, self.path, self.headers.get("Authorization", ""))
        fault = self.server.note(request)
        if fault is Fault.TIMEOUT:
            self.server.closing.wait(self.server.hang_seconds)
            self.close_connection = True
            return
        try:
            if fault not in (None, Fault.TRUNCATED):
                raise refusal(fault, request)
            repository, commit = self._find(request)
            if request.action == "resolve":
                self._send_file(request, commit, truncated=fault is Fault.TRUNCATED)
            else:
                self._send_json(200, self._api(request, repository, commit, body), {})
        except Refusal as refused:
            self._send_json(refused.status, {"error": str(refused)}, refused.headers)

    def _find(self, request: Request) -> tuple[Repository, Commit]:
        if not request.action:
            raise Refusal(404, "Sorry, we can't find the page you are looking for.")
        repository = self.server.repositories.get((request.kind, request.repo))
        is_owner = request.authorization == f"Bearer {OWNER_TOKEN}"
        if repository is None or (repository.private and not is_owner):
            raise refusal(Fault.REPO_NOT_FOUND, request)
        commit = repository.resolve(request.revision)
        if commit is None:
            raise refusal(Fault.REVISION_NOT_FOUND, request)
        is_open = request.action not in ("resolve", "auth-check") or request.file in PUBLIC_FILES
        if repository.gated and not is_open and not is_owner:
            raise refusal(Fault.GATED, request)
        return repository, commit

    def _api(self, request: Request, repository: Repository, commit: Commit, body: bytes) -> Any:
        query = parse_qs(urlsplit(request.path).query)
        expand = _is_true(query, "expand")
        if request.action == "tree":
            entries = commit.entries(request.file, recursive=_is_true(query, "recursive"), expand=expand)
            if request.file and not entries:
                raise refusal(Fault.ENTRY_NOT_FOUND, request, commit)
            return entries
        if request.action == "paths-info":
            form = parse_qs(body.decode())
            known = {x["path"] for x in commit.entries()}
            expand = _is_true(form, "expand")
            return [commit.entry(x, expand=expand) for x in form.get("paths", []) if x in known]
        if request.action == "refs":
            return repository.refs()
        if request.action == "auth-check":
            return {}
        return repository.info(commit, blobs=_is_true(query, "blobs"))

    def _send_json(self, status: int, content: Any, headers: Mapping[str, str]) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})

    def _send_file(self, request: Request, commit: Commit, *, truncated: bool) -> None:
        blob = commit.files.get(request.file)
        if blob is None:
            raise refusal(Fault.ENTRY_NOT_FOUND, request, commit)
        status, start, end, headers = self._range(blob)
        headers |= {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        headers["ETag"] = f'"{blob.sha256 if blob.is_large else blob.oid}"'
        if blob.is_large:
            headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.content))}
        self._send(status, blob.content[start:end], headers, cut=len(blob.content) // 2 - start if truncated else None)

    def _range(self, blob: Blob) -> tuple[int, int, int, dict[str, str]]:
        size = len(blob.content)
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None or not any(asked.groups()):
            return 200, 0, size, {}
        first, last = asked.groups()
        start = int(first) if first else max(size - int(last), 0)
        end = min(int(last) + 1, size) if first and last else size
        if start >= min(end, size):
            raise Refusal(416, "Range Not Satisfiable", headers={"Content-Range": f"bytes */{size}"})
        return 206, start, end, {"Content-Range": f"bytes {start}-{end - 1}/{size}"}

    def _send(self, status: int, content: bytes, headers: Mapping[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content if cut is None else content[: max(cut, 0)])
        if cut is not None:
            self.close_connection = True


def _is_true(values: Mapping[str, list[str]], name: str) -> bool:
    return values.get(name, [""])[-1].lower() in ("true", "1")


class HubServer(ThreadingHTTPServer):
    """The repositories, the faults and the log that the handlers share."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, hang_seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hang_seconds = hang_seconds
        self.closing = threading.Event()
        self.repositories: dict[tuple[Kind, str], Repository] = {}
        self.requests: list[Request] = []
        self.plans: list[_Plan] = []
        self._lock = threading.Lock()

    def note(self, request: Request) -> Fault | None:
        """Logs the request and takes the first fault that waits for it, if any."""
        with self._lock:
            self.requests.append(request)
            plan = next((x for x in self.plans if x.takes(request)), None)
            if plan is None:
                return None
            if plan.left is not None:
                plan.left -= 1
            return plan.fault

    def plan(self, fault: Fault, repo: str, files: str | None, method: str | None, times: int | None) -> None:
        with self._lock:
            self.plans.append(_Plan(fault, repo, files, method, times))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves (its own timeout) is no error; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)
