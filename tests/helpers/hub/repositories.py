"""What a local hub keeps: repositories, each with commits that stay readable, and who may read them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Literal

import yaml

Kind = Literal["datasets", "models"]

LARGE_FILES = frozenset({".arrow", ".bin", ".gz", ".parquet", ".safetensors", ".zip"})
PUBLIC_FILES = frozenset({"README.md", ".gitattributes"})
"""Files that anyone may read of a gated repository."""


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Blob:
    """One file of a commit. ``is_large`` files are kept by Git LFS: their git object is a pointer."""

    content: bytes
    is_large: bool

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.content)}\n"
        return text.encode()

    @cached_property
    def oid(self) -> str:
        return _git_oid(self.pointer if self.is_large else self.content)


@dataclass(frozen=True)
class Commit:
    """A whole tree with its name, a function of the tree and of the commit before."""

    sha: str
    title: str
    date: str
    files: Mapping[str, Blob]

    def entries(self, folder: str = "", *, recursive: bool = True, expand: bool = False) -> list[dict[str, Any]]:
        """Files and folders below ``folder``, sorted by path, in the form of the hub's tree listing."""
        prefix = f"{folder}/" if folder else ""
        below = [x for x in self.files if x.startswith(prefix)]
        folders = {str(parent) for x in below for parent in PurePosixPath(x).parents} - {".", folder}
        paths = sorted({*below, *(x for x in folders if x.startswith(prefix))})
        return [self.entry(x, expand=expand) for x in paths if recursive or "/" not in x.removeprefix(prefix)]

    def entry(self, path: str, *, expand: bool = False) -> dict[str, Any]:
        """One file or folder in the form of the hub's tree listing; KeyError if there is none."""
        last = {"lastCommit": {"id": self.sha, "title": self.title, "date": self.date}} if expand else {}
        if path not in self.files:
            if not any(x.startswith(f"{path}/") for x in self.files):
                raise KeyError(path)
            oid = hashlib.sha1(f"{self.sha} {path}".encode()).hexdigest()
            return {"type": "directory", "oid": oid, "size": 0, "path": path, **last}
        blob = self.files[path]
        size = len(blob.content)
        lfs = {"lfs": {"oid": blob.sha256, "size": size, "pointerSize": len(blob.pointer)}} if blob.is_large else {}
        return {"type": "file", "oid": blob.oid, "size": size, "path": path, **lfs, **last}

    def siblings(self, *, blobs: bool) -> list[dict[str, Any]]:
        """The files in the form of the hub's model and data-set information."""
        if not blobs:
            return [{"rfilename": x} for x in sorted(self.files)]
        entries = [self.entry(x) for x in sorted(self.files)]
        return [
            {"rfilename": x["path"], "size": x["size"], "blobId": x["oid"]}
            | ({"lfs": {**x["lfs"], "sha256": x["lfs"]["oid"]}} if "lfs" in x else {})
            for x in entries
        ]

    def card(self) -> dict[str, Any] | None:
        """The YAML header of README.md, if there is one."""
        if "README.md" not in self.files:
            return None
        parts = self.files["README.md"].content.decode().split("---\n", 2)
        return yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None


@dataclass
class Repository:
    """Commits of one data set or model, oldest first, and the names that point at them."""

    kind: Kind
    name: str
    private: bool = False
    gated: bool = False
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes]) -> Commit:
        """Adds a commit that holds exactly ``files``; ``main`` moves to it."""
        blobs = {path: Blob(content, PurePosixPath(path).suffix in LARGE_FILES) for path, content in files.items()}
        parent = self.commits[-1].sha if self.commits else f"{self.kind}/{self.name}"
        tree = "\n".join(f"{blobs[x].oid} {x}" for x in sorted(blobs))
        number = len(self.commits) + 1
        date = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        stamp = date.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        sha = hashlib.sha1(f"{parent}\n{tree}".encode()).hexdigest()
        self.commits.append(Commit(sha, f"Commit {number}", stamp, blobs))
        return self.commits[-1]

    def resolve(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag or a full sha names; None if there is none."""
        if revision in ("main", "refs/heads/main"):
            return self.commits[-1]
        sha = self.tags.get(revision, revision)
        return next((x for x in self.commits if x.sha == sha), None)

    def info(self, commit: Commit, *, blobs: bool) -> dict[str, Any]:
        """The answer to ``dataset_info`` and ``model_info``."""
        return {
            "_id": hashlib.sha1(self.name.encode()).hexdigest()[:24],
            "id": self.name,
            "author": self.name.split("/")[0],
            "sha": commit.sha,
            "createdAt": self.commits[0].date,
            "lastModified": commit.date,
            "private": self.private,
            "gated": "manual" if self.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "cardData": commit.card(),
            "siblings": commit.siblings(blobs=blobs),
        }

    def refs(self) -> dict[str, Any]:
        """The answer to ``list_repo_refs``."""
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": self.commits[-1].sha}
        tags = [{"name": x, "ref": f"refs/tags/{x}", "targetCommit": sha} for x, sha in self.tags.items()]
        return {"branches": [main], "tags": tags, "converts": []}
