"""Asks a hub many things in one process and prints, as JSON, what came back: python ask.py < questions.json

A question is {"call": ..., "with": {keyword: value}}; the answer {"value": ...}, or {"error": ..., "message": ...} with
the full class name and the first line of the message. The process's environment says which hub.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm.std import tqdm


def load_dataset(**arguments: Any) -> list[dict[str, Any]]:
    import datasets

    return datasets.load_dataset(**arguments).to_list()


def snapshot_download(**arguments: Any) -> dict[str, int]:
    import huggingface_hub

    folder = Path(huggingface_hub.snapshot_download(**arguments))
    return {x.relative_to(folder).as_posix(): x.stat().st_size for x in folder.rglob("*") if x.is_file()}


def hf_hub_download(**arguments: Any) -> int:
    import huggingface_hub

    return Path(huggingface_hub.hf_hub_download(**arguments)).stat().st_size


def api(method: str, **arguments: Any) -> Any:
    import huggingface_hub

    answer = getattr(huggingface_hub.HfApi(), method)(**arguments)
    if method == "list_repo_refs":
        return {x.name: x.target_commit for x in (*answer.branches, *answer.tags)}
    if method in ("list_repo_tree", "get_paths_info"):
        return {x.path: getattr(x, "size", None) for x in answer}
    if method == "auth_check":
        return True
    return {"sha": answer.sha, "gated": answer.gated, "files": {x.rfilename: x.size for x in answer.siblings}}


CALLS = {x.__name__: x for x in (load_dataset, snapshot_download, hf_hub_download, api)}


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one question; whatever is raised is part of it."""
    try:
        return {"value": CALLS[question["call"]](**question["with"])}
    except Exception as error:
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        return {"error": name, "message": str(error).strip().split("\n")[0]}


def main() -> None:
    tqdm.get_lock()  # made once: threads that make and drop it for themselves meet one another
    questions: dict[str, dict[str, Any]] = json.load(sys.stdin)
    if any(x["call"] == "load_dataset" for x in questions.values()):
        import datasets  # noqa: F401  (once, before the threads)
    with ThreadPoolExecutor(8) as pool:
        json.dump(dict(zip(questions, pool.map(answer, questions.values()), strict=True)), sys.stdout)


if __name__ == "__main__":
    main()
