"""An OpenAI-compatible server that does what a test tells it: right answers, wrong ones, and every kind of fault."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

Body = dict[str, Any]


@dataclass(frozen=True)
class Act:
    """What the server does with one request."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    reset: bool = False
    drip: float = 0.0


def say(
    text: str | None,
    finish_reason: str = "stop",
    refusal: str | None = None,
    usage: tuple[int, int] | None = (100, 20),
    logprobs: Sequence[tuple[str, dict[str, float]]] | None = None,
    **how: Any,
) -> Act:
    """A chat completion. ``logprobs``: (token, alternatives) of each token of the text."""
    choice: Body = {"index": 0, "message": {"role": "assistant", "content": text, "refusal": refusal}}
    choice["finish_reason"] = finish_reason
    if logprobs is not None:
        choice["logprobs"] = {
            "content": [
                {
                    "token": token,
                    "logprob": alternatives.get(token, -0.01),
                    "top_logprobs": [{"token": k, "logprob": v} for k, v in alternatives.items()],
                }
                for token, alternatives in logprobs
            ]
        }
    body: Body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    if usage:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return Act(body=body, **how)


def verdict(winner: str, reasoning: str = "Because.", **how: Any) -> Act:
    """A verdict as JSON."""
    return say(json.dumps({"reasoning": reasoning, "verdict": winner}), **how)


def refuse(status: int, message: str = "no", code: str | None = None, **headers: str) -> Act:
    """An HTTP error in OpenAI's form."""
    names = {k.replace("_", "-"): v for k, v in headers.items()}
    return Act(status, {"error": {"message": message, "type": "error", "code": code}}, names)


Script = Callable[[Body, int], Act]
"""What to do with a request, and how often the very same request came before."""


class ScriptedServer:
    """Runs in a thread on loopback. ``requests`` holds the bodies that came, ``answered`` those that got a 200."""

    def __init__(self, script: Script | None = None) -> None:
        self.script: Script = script or (lambda _body, _times: verdict("A"))
        self.requests: list[Body] = []
        self.answered: list[Body] = []
        self.authorizations: list[str | None] = []
        self.times: list[float] = []
        self.in_flight = self.most_in_flight = 0
        self._seen: Counter[str] = Counter()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        app = Starlette(routes=[Route("/v1/chat/completions", self._chat, methods=["POST"])])
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.authorizations.append(request.headers.get("authorization"))
        self.times.append(time.monotonic())
        key = json.dumps(body, sort_keys=True)
        self._seen[key] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            act = self.script(body, self._seen[key] - 1)
            await asyncio.sleep(act.delay)
            return self._respond(act, body)
        finally:
            self.in_flight -= 1

    def _respond(self, act: Act, body: Body) -> Response:
        content = act.body if isinstance(act.body, bytes) else json.dumps(act.body).encode()
        headers = {"content-type": "application/json", **act.headers}
        if act.reset or act.drip:
            headers["content-length"] = str(len(content))
            return StreamingResponse(_slowly(content, act), act.status, headers)
        if act.status == 200:
            self.answered.append(body)
        return Response(content, act.status, headers)


async def _slowly(content: bytes, act: Act) -> AsyncIterator[bytes]:
    if act.reset:
        yield content[: len(content) // 2]
        raise ConnectionResetError("the test wants it so")
    for i in range(len(content)):
        yield content[i : i + 1]
        await asyncio.sleep(act.drip)


def texts(body: Body) -> tuple[str, str, str]:
    """Question, Answer A and Answer B as the judge is shown them, found by the mark in the instructions."""
    whole = "\n".join(x["content"] for x in body["messages"])
    found = re.search(r"mark ([0-9a-f]{16})", whole)
    assert found, "no mark in the instructions"
    parts = re.findall(rf"^\[{found[1]}\]\n(.*?)\n\[/{found[1]}\]$", whole, re.DOTALL | re.MULTILINE)
    assert len(parts) == 3, f"{len(parts)} marked texts"
    return parts[0], parts[1], parts[2]


def longer_wins(body: Body, _times: int) -> Act:
    """A judge without position bias: the longer answer is better."""
    _, a, b = texts(body)
    return verdict("tie" if len(a) == len(b) else "A" if len(a) > len(b) else "B")
