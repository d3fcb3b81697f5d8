"""A client of an OpenAI-compatible server that retries calls where that makes sense. Runs in an event loop.

Tried again, after a pause with jitter: 408, 409, 429, 5xx, connection errors, timeouts; a few times: replies that are
not what the protocol says. Given up for this request alone: texts that are too long or filtered. Everything else
that a server refuses ends all calls, with one sentence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random

import openai

from ..config.server_config import ApiKey, ServerSettings
from ..errors import CrocoError, ServerError, UserError
from .ledger import Ledger
from .limiter import AdaptiveLimiter
from .messages import TOO_LONG, ChatReply, ChatRequest, NoReply, Outcome
from .wire import Failure, Rejection, read_reply, retry_after

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LONGEST_WAIT = 600.0  # a server that asks for a longer one is not waited for
_RETRIES_OF_NONSENSE = 2
_RETRIES_BEFORE_FIRST_CONTACT = 3
_FAILED_IN_A_ROW = 8
_TOO_MUCH = frozenset({429, 503})
_WORTH_RETRYING = frozenset({408, 409, 429})
_LENGTH_WORDS = ("context_length_exceeded", "string_above_max_length", "context length", "maximum context")
_NOT_BEGUN = NoReply("stopped", "no more calls are begun")
_FILTERED = ("content_filter", "content_policy", "content management policy")


class ChatClient:
    """A server. ``on_reply`` is given every reply, with the key of its request, before anybody else sees it."""

    def __init__(
        self,
        settings: ServerSettings,
        key: ApiKey | None,
        ledger: Ledger,
        on_reply: Callable[[str, ChatReply], None],
    ) -> None:
        self._settings, self._key, self._ledger, self._on_reply = settings, key, ledger, on_reply
        self._limiter = AdaptiveLimiter(settings.max_concurrency)
        self._sdk = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=key.reveal() if key else "none",
            max_retries=0,
            timeout=settings.timeout,
        )
        self._stopped = asyncio.Event()
        self._failed_in_a_row = self._rejections = 0
        self._reached = self._answered = False
        self.error: CrocoError | None = None

    async def complete(self, request: ChatRequest) -> Outcome:
        """The reply to a request, or why there is none."""
        attempt = 0
        nonsense = 0
        while True:
            attempt += 1
            try:
                return await self._one_try(request, attempt)
            except Rejection as rejection:
                return self._rejected(rejection)
            except Failure as failure:
                nonsense += failure.nonsense
                if nonsense > _RETRIES_OF_NONSENSE or attempt > self._retries:
                    return self._unanswered(failure, attempt)
                await self._pause(failure, request.key, attempt)

    def stop(self, error: CrocoError) -> None:
        """Begins no more calls; those in flight go on, those that wait end."""
        self.error = self.error or error
        self._stopped.set()
        self._limiter.resume()

    async def close(self) -> None:
        await self._sdk.close()

    @property
    def _retries(self) -> int:
        retries = self._settings.max_retries
        return retries if self._reached else min(retries, _RETRIES_BEFORE_FIRST_CONTACT)

    async def _one_try(self, request: ChatRequest, attempt: int) -> Outcome:
        begun_in = await self._limiter.acquire()
        try:
            if self._ledger.is_spent:
                self.stop(self._ledger.budget_error())
            if self.error:
                return _NOT_BEGUN
            reply = await self._post(request, attempt)
        except Failure as failure:
            if failure.too_much:
                self._limiter.slow_down(begun_in)
            if failure.wait and not self.error:
                self._limiter.pause(failure.wait)
            raise
        finally:
            self._limiter.release()
        self._limiter.speed_up()
        self._answered = True
        self._failed_in_a_row = 0
        return reply

    async def _post(self, request: ChatRequest, attempt: int) -> ChatReply:
        """One HTTP request; whatever comes of it is in the ledger."""
        begun = time.monotonic()
        status = "cancelled"
        reply: ChatReply | None = None
        try:
            async with asyncio.timeout(self._settings.timeout):
                data = await self._sdk.post("/chat/completions", cast_to=bytes, body=request.body())
            self._reached = True
            reply = read_reply(self._scrub(data.decode("utf-8", "replace")))
            status = "ok"
            return reply
        except (TimeoutError, openai.APITimeoutError):
            status = "timeout"
            raise Failure(status, f"no reply within {self._settings.timeout:g} s") from None
        except openai.APIStatusError as error:
            status = f"http {error.status_code}"
            self._reached = True
            raise self._meaning_of(error, status) from None
        except openai.APIConnectionError as error:
            status = "connection"
            raise Failure(status, f"connection failed ({_cause(error)})") from None
        except Failure as failure:
            status = failure.status
            raise
        finally:
            tokens = (reply.tokens_in, reply.tokens_out) if reply else (None, None)
            if reply:
                self._on_reply(request.key, reply)
            self._ledger.record(request.key, attempt, status, *tokens, time.monotonic() - begun)
            if reply and None in tokens and self._ledger.needs_counts:
                self.stop(ServerError(f"{self._where} does not say how many tokens a call took; leave `budget` out."))

    def _meaning_of(self, error: openai.APIStatusError, status: str) -> Failure | Rejection:
        """What an HTTP error means: worth another try, this request alone is hopeless, or all of them are."""
        code = error.status_code
        said = self._said(error)
        if "insufficient_quota" in (error.code, error.type):
            self.stop(ServerError(f"{self._where} says that the quota is used up{said}; run again when there is more."))
        elif code in _WORTH_RETRYING or code >= 500:
            wait = retry_after(error.response.headers)
            if wait and wait > _LONGEST_WAIT:
                self.stop(ServerError(f"{self._where} asks to wait for {wait:,.0f} s; run again then to go on."))
            return Failure(status, f"HTTP {code}{said}", too_much=code in _TOO_MUCH, wait=wait)
        elif code == 413 or any(x in said.lower() or x == error.code for x in _LENGTH_WORDS):
            return Rejection(status, TOO_LONG)
        elif any(x in said.lower() or x == error.code for x in _FILTERED):
            return Rejection(status, "refused by the server's content filter")
        else:
            self.stop(self._fatal(code, said))
        return Failure(status, f"HTTP {code}{said}")

    def _fatal(self, code: int, said: str) -> CrocoError:
        env = self._settings.api_key_env
        if code in (401, 403):
            key = f"the key in {env}" if env else "a call without a key (api_key_env names the variable that holds it)"
            return UserError(f"{self._where} refuses {key} (HTTP {code}).")
        if code == 404:
            return UserError(
                f"{self._where} knows no model {self._settings.model!r} or no such address (HTTP 404{said})."
            )
        return ServerError(f"{self._where} refuses the request (HTTP {code}{said}).")

    def _rejected(self, rejection: Rejection) -> NoReply:
        self._failed_in_a_row = 0
        self._rejections += 1
        if not self._answered and self._rejections >= _FAILED_IN_A_ROW:
            self.stop(
                ServerError(
                    f"{self._where} rejected the first {self._rejections} requests ({rejection.reason}); "
                    "make them shorter, or ask for fewer tokens."
                )
            )
        return _NOT_BEGUN if self.error else NoReply("rejected", rejection.reason)

    def _unanswered(self, failure: Failure, attempts: int) -> NoReply:
        self._failed_in_a_row += 1
        if not self._reached:
            self.stop(ServerError(f"{self._where} can't be reached: {failure.reason}."))
        elif self._failed_in_a_row >= _FAILED_IN_A_ROW:
            self.stop(
                ServerError(
                    f"{self._where} failed {self._failed_in_a_row} calls in a row, each tried up to {attempts} times "
                    f"({failure.reason}); all that is known is kept: run the same command again to go on."
                )
            )
        return _NOT_BEGUN if self.error else NoReply("unanswered", f"{failure.reason} ({attempts} tries)")

    async def _pause(self, failure: Failure, key: str, attempt: int) -> None:
        """Waits before the next try, or until all calls are stopped."""
        if failure.wait:
            return  # the limiter holds everybody back
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
        delay = longest * Random(f"{key}{attempt}").uniform(0.5, 1.0)
        try:
            async with asyncio.timeout(delay):
                await self._stopped.wait()
        except TimeoutError:
            return

    def _said(self, error: openai.APIStatusError) -> str:
        """The server's own words, short and without the key."""
        body = error.body
        text = (body.get("message") or body.get("detail")) if isinstance(body, dict) else None
        text = " ".join(self._scrub(str(text or error.code or "")).split())
        return f": {text[:200].rstrip('.')}" if text else ""

    def _scrub(self, text: str) -> str:
        return self._key.scrub(text) if self._key else text

    @property
    def _where(self) -> str:
        return f"the server at {self._settings.base_url}"


def _cause(error: BaseException) -> str:
    """The innermost cause of a connection error, by its type alone: its text may hold anything."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
