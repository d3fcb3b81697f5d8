"""Options that take several paths after their name, as a shell's pattern gives them: ``--scored answers/*.jsonl``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from typer.core import TyperCommand


class ManyPaths(TyperCommand):
    """A command whose options ``several``, which may be given again, take all words up to the next option."""

    several: ClassVar[tuple[str, ...]] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Each of several paths gets the option's name before it."""
        return super().parse_args(ctx, list(_named(args, self.several)))


def _named(words: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    option, has_value = None, True
    for word in words:
        if word.startswith("-"):
            option, has_value = (word, False) if word in options else (None, True)
        elif option and has_value:
            yield option
        else:
            has_value = True
        yield word
