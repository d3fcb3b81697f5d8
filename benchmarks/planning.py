"""How long it takes to plan a run of every suite in 14 languages: the whole process, ``croco-eval run --dry-run``.

The hub, NLTK's site and everything else would be reached through a port of this script, which answers nobody and
counts who calls. Prints the seconds of each round, their median, the number of cells, and the number of calls.

    python benchmarks/planning.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from croco_eval.harness import registry

OWN_TASK = "lm-eval"
"""The suite that runs one's own task needs a folder of YAML files; it is no part of the benchmark."""


def write_config(folder: Path) -> Path:
    """Every suite in the default languages, for a packaged model and its adapter."""
    config = {
        "name": "everything",
        "systems": [
            {"name": "base", "model": "croco-nano"},
            {"name": "sft", "model": "croco-nano", "adapter": "croco-nano-sft"},
        ],
        "suites": [x for x in registry.names("suites") if x != OWN_TASK],
    }
    path = folder / "everything.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def environment(folder: Path, port: int) -> dict[str, str]:
    """A machine that has fetched nothing, with the port in place of every server."""
    own = {
        k: v for k, v in os.environ.items() if not k.startswith(("HF_", "NLTK_")) and not k.lower().endswith("proxy")
    }
    server = f"http://127.0.0.1:{port}"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), server)
    return {**own, **proxies, "HF_ENDPOINT": server, "HF_HOME": str(folder / "hf"), "OMP_NUM_THREADS": "1"}


def calls(port: socket.socket) -> int:
    """How many have called so far and not been counted yet."""
    port.setblocking(False)
    number = 0
    while True:
        try:
            port.accept()[0].close()
        except BlockingIOError:
            return number
        number += 1


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0), backlog=100) as port:
        folder = Path(name)
        command = [str(Path(sys.executable).with_name("croco-eval")), "run", str(write_config(folder)), "--dry-run"]
        seconds = []
        for number in range(rounds):
            begun = time.perf_counter()
            done = subprocess.run(
                command, cwd=folder, env=environment(folder, port.getsockname()[1]), capture_output=True, text=True,
                timeout=120, check=True,
            )  # fmt: skip
            seconds.append(time.perf_counter() - begun)
            print(f"round {number + 1}: {seconds[-1]:.2f} s")
        print(next(x for x in done.stdout.splitlines() if x.endswith(" cells")))
        print(f"median: {statistics.median(seconds):.2f} s; calls over the network: {calls(port)}")


if __name__ == "__main__":
    main()
