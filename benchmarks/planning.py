"""How long it takes to plan a run of every suite in 14 languages: the whole process, ``croco-eval run --dry-run``.

The hub, NLTK's site and everything else would be reached through a port of this script, which answers nobody and
counts who calls. Prints the seconds of each round and those of them that it had a processor (a busy machine shows in
the difference), their medians, the number of cells, and the number of calls.

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


def processor_seconds() -> float:
    """Of all processes that were started here and have ended."""
    times = os.times()
    return times.children_user + times.children_system


def plan(config: Path, environment: dict[str, str]) -> tuple[float, float, str]:
    """Seconds of the whole process, on the clock and on a processor, and the line with the number of cells."""
    command = [str(Path(sys.executable).with_name("croco-eval")), "run", str(config), "--dry-run"]
    begun, used = time.perf_counter(), processor_seconds()
    done = subprocess.run(
        command, cwd=config.parent, env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    seconds = time.perf_counter() - begun
    return seconds, processor_seconds() - used, next(x for x in done.stdout.splitlines() if x.endswith(" cells"))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0), backlog=100) as port:
        folder = Path(name)
        config, nowhere = write_config(folder), environment(folder, port.getsockname()[1])
        clock, processor = [], []
        for number in range(rounds):
            took, used, cells = plan(config, nowhere)
            clock.append(took)
            processor.append(used)
            print(f"round {number + 1}: {took:.2f} s, {used:.2f} s on a processor, {cells}")
        print(f"median: {statistics.median(clock):.2f} s, {statistics.median(processor):.2f} s on a processor")
        print(f"calls over the network: {calls(port)}")


if __name__ == "__main__":
    main()
