"""Errors, each attributed to one boundary: the user's input, the model, the data, the judge, a server, the store.

Every message is one sentence or two: what was wrong, where, and what to do. The command line prints it
without a traceback (``-v`` shows one) and exits with ``exit_code``.
"""

from __future__ import annotations


class CrocoError(Exception):
    """Base of all errors that are meant to be read by a user."""

    exit_code = 1


class UserError(CrocoError):
    """The configuration or the command line is wrong."""

    exit_code = 2


class ModelError(CrocoError):
    """A model, adapter or tokenizer can't be loaded or used."""


class DataError(CrocoError):
    """A suite's data are missing, empty or not in the form that was promised."""


class JudgeError(CrocoError):
    """A judge can't be run."""


class ServerError(CrocoError):
    """A model server can't be reached, or refuses what it is asked."""


class BudgetSpent(CrocoError):
    """What the config allows to be spent on calls is spent; raising it and running again goes on from there."""


class StoreError(CrocoError):
    """The run directory can't be read or written, or holds something else than was asked for."""


def first_line(error: BaseException) -> str:
    """The first line of what a library says went wrong, without its full stop."""
    text = next((x.strip() for x in str(error).splitlines() if x.strip()), type(error).__name__)
    return text.rstrip(".")[:300]
