"""A run whose systems answer in parts ends with the bytes of one that answered in one go, whatever was left to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.adapters import save_adapter


def cells(run: Path) -> dict[str, bytes]:
    files = [*run.glob("cells/*/*/*/*.parquet"), run / "scores.csv", run / "leaderboard.csv"]
    return {str(x.relative_to(run)): x.read_bytes() for x in files}


@pytest.mark.parametrize("workers", [1, 2])
def test_only_some_systems_left_to_do_gives_the_same_bytes(cli, write_config, nano: Path, tmp_path: Path, workers: int):
    pissa = save_adapter(tmp_path / "pissa", nano, init_lora_weights="pissa")
    names = {"base": None, "sft": "croco-nano-sft", "pissa": str(pissa)}
    systems = [{"name": k, "model": "croco-nano", **({"adapter": v} if v else {})} for k, v in names.items()]
    write_config(systems=systems, suites=[{"name": "locale", "limit": 2}], judges=[], workers=workers)
    assert cli("run", "config.yaml").returncode == 0
    run = tmp_path / "runs" / "trial"
    whole = cells(run)
    for left in (["base"], ["sft"], ["sft", "pissa"]) if workers == 1 else (["base", "pissa"],):
        for name in left:
            shutil.rmtree(run / "cells" / name)
        assert cli("run", "config.yaml").returncode == 0
        assert cells(run) == whole, left
    if workers > 1:
        return
    write_config("turned.yaml", systems=systems[::-1], suites=[{"name": "locale", "limit": 2}], judges=[])
    assert cli("run", "turned.yaml", "--out", tmp_path / "turned").returncode == 0
    again = cells(tmp_path / "turned")
    assert {k: v for k, v in again.items() if "generations" in k} == {
        k: v for k, v in whole.items() if "generations" in k
    }
