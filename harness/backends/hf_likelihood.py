"""Log-likelihoods of continuations, reading a context that several continuations share only once.

Numbers agree with lm-eval's ``HFLM`` (same tokens, same truncation); multiple choice with k options costs about
one reading of the question instead of k.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..api.backend import Chunk
from ..api.records import Response
from .text import fit_pairs

_AGREE = 2e-3

_Continuation = tuple[int, tuple[int, ...]]
"""Position of the request, and token ids."""


@dataclass(frozen=True)
class LikelihoodBatch:
    """Contexts (token ids) and, for each, its continuations as (position of the request, token ids)."""

    contexts: tuple[tuple[int, ...], ...]
    continuations: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]

    @property
    def positions(self) -> list[int]:
        return [position for group in self.continuations for position, _ in group]


class LikelihoodScorer:
    """Plans and computes batches for one model."""

    def __init__(self, model: Any, tokenizer: Any, max_length: int, share: bool) -> None:
        self._model, self._tokenizer, self._max_length, self._share = model, tokenizer, max_length, share
        self.n_cut: dict[int, int] = {}
        """Tokens that were cut off, of the positions that lost any."""

    def plan(self, pairs: Sequence[tuple[str, str]], batch_tokens: int) -> Iterator[LikelihoodBatch]:
        """All pairs of (context, continuation) in batches of at most ``batch_tokens`` tokens, longest first; without
        those whose continuation has no tokens.

        A context with more continuations than fit into a batch is read once for each part of them.
        """
        groups: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
        for position, (context, continuation, n_cut) in enumerate(fit_pairs(self._tokenizer, pairs, self._max_length)):
            if not continuation:
                continue
            if n_cut:
                self.n_cut[position] = n_cut
            key = (*context,) if self._share else (*context, -1 - position)
            groups.setdefault(key, []).append((position, continuation))
        parts = [(key, x) for key, group in groups.items() for x in _parts(group, batch_tokens - len(key))]
        ordered = sorted(parts, key=lambda x: (-len(x[0]), x[0]))
        contexts: list[tuple[int, ...]] = []
        members: list[tuple[tuple[int, tuple[int, ...]], ...]] = []
        width = 0
        for key, group in ordered:
            context = key if self._share else key[:-1]
            longest = max(len(x) for _, x in group)
            rows = len(members) + 1
            if members and rows * max(width, len(context) + longest * len(group)) > batch_tokens:
                yield LikelihoodBatch(tuple(contexts), tuple(members))
                contexts, members, width = [], [], 0
            contexts.append(context)
            members.append(tuple(group))
            width = max(width, len(context) + longest * len(group))
        if members:
            yield LikelihoodBatch(tuple(contexts), tuple(members))

    def score(self, batch: LikelihoodBatch) -> Chunk:
        """The likelihood of every continuation of a batch."""
        if not self._share:
            return self._score_whole(batch)
        last, cache, mask = self._read_contexts(batch.contexts)
        rows = [
            (group, position, ids) for group, members in enumerate(batch.continuations) for position, ids in members
        ]
        owner = torch.tensor([group for group, _, _ in rows], device=last.device)
        longest = max(len(ids) for _, _, ids in rows)
        first = last.index_select(0, owner).unsqueeze(1)
        if longest > 1:
            logits = torch.cat((first, self._read_continuations(batch, rows, owner, cache, mask, longest)), dim=1)
        else:
            logits = first
        return _answers([(position, ids) for _, position, ids in rows], logits)

    def _score_whole(self, batch: LikelihoodBatch) -> Chunk:
        """One reading of context and continuation together, without a cache."""
        rows = [(c, *x) for c, members in zip(batch.contexts, batch.continuations, strict=True) for x in members]
        inputs = [(*context, *ids)[:-1] for context, _, ids in rows]
        width = max(map(len, inputs))
        device = self._model.device
        mask = _pad([(1,) * len(x) for x in inputs], width, left=True).to(device)
        longest = max(len(ids) for _, _, ids in rows)
        logits = self._model(
            input_ids=_pad(inputs, width, left=True).to(device),
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            use_cache=False,
            logits_to_keep=longest,
        ).logits.float()
        # Rows end together; a continuation shorter than the longest begins later. Shift each to begin at 0.
        shift = torch.tensor([longest - len(ids) for _, _, ids in rows], device=device)
        index = (torch.arange(longest, device=device) + shift.unsqueeze(1)).clamp(max=longest - 1)
        logits = logits.gather(1, index.unsqueeze(-1).expand(-1, -1, logits.shape[-1]))
        return _answers([(position, ids) for _, position, ids in rows], logits)

    def _read_contexts(self, contexts: tuple[tuple[int, ...], ...]) -> tuple[torch.Tensor, Any, torch.Tensor]:
        """Logits after each context (float32), the cache of keys and values, and the attention mask."""
        width = max(len(x) for x in contexts)
        device = self._model.device
        ids = _pad(contexts, width, left=True).to(device)
        mask = _pad([(1,) * len(x) for x in contexts], width, left=True).to(device)
        out = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1].float(), out.past_key_values, mask

    def _read_continuations(self, batch, rows, owner, cache, mask, longest) -> torch.Tensor:
        """Logits after each token of the continuations but the last: (rows, longest - 1, vocabulary)."""
        if len(rows) != len(batch.contexts):
            cache.batch_select_indices(owner)
        device = mask.device
        ids = _pad([x[:-1] for _, _, x in rows], longest - 1, left=False).to(device)
        own_mask = _pad([(1,) * (len(x) - 1) for _, _, x in rows], longest - 1, left=False).to(device)
        lengths = mask.sum(-1).index_select(0, owner)
        out = self._model(
            input_ids=ids,
            attention_mask=torch.cat((mask.index_select(0, owner), own_mask), dim=1),
            position_ids=lengths.unsqueeze(1) + torch.arange(longest - 1, device=device),
            past_key_values=cache,
            use_cache=True,
        )
        return out.logits.float()

    @staticmethod
    def can_share(model: Any, tokenizer: Any, max_length: int) -> bool:
        """Whether reading a context once gives what reading it anew for each continuation gives, on a small probe.

        Some architectures keep a cache that can't be handed to several continuations; they say so in many ways.
        """
        text = tokenizer.decode(range(min(40, len(tokenizer))))
        pairs = [(f"{text} 1 2 3", " 4 5"), (f"{text} 1 2 3", " 7 8 9"), (text, " 1")]
        results = []
        for share in (True, False):
            scorer = LikelihoodScorer(model, tokenizer, max_length, share)
            try:
                answers = dict(x for batch in scorer.plan(pairs, 4096) for x in scorer.score(batch))
            except torch.OutOfMemoryError:
                raise
            except (AttributeError, NotImplementedError, TypeError, ValueError, IndexError, RuntimeError):
                if not share:
                    raise
                return False
            results.append([answers[i].logprob for i in range(len(pairs))])
        return all(abs(a - b) <= _AGREE * max(1.0, abs(b)) for a, b in zip(*results, strict=True))


def _parts(group: list[_Continuation], room: int) -> Iterator[list[_Continuation]]:
    """The continuations of a context as they are if they fit into ``room`` tokens, padded to the longest; else in
    parts that do, longest first."""
    if max(len(x) for _, x in group) * len(group) <= room:
        yield group
        return
    part: list[_Continuation] = []
    for x in sorted(group, key=lambda x: (-len(x[1]), x[0])):
        if part and len(part[0][1]) * (len(part) + 1) > room:
            yield part
            part = []
        part.append(x)
    yield part


def _answers(rows: list[tuple[int, tuple[int, ...]]], logits: torch.Tensor) -> Chunk:
    """Responses for (position, ids), where ``logits[i, j]`` predicts ``ids[j]``."""
    targets = _pad([ids for _, ids in rows], logits.shape[1], left=False).to(logits.device)
    picked = torch.log_softmax(logits, dim=-1).gather(2, targets.unsqueeze(-1)).squeeze(-1).cpu()
    greedy = (logits.argmax(dim=-1) == targets).cpu()
    return [
        (
            position,
            Response(
                logprob=float(picked[i, : len(ids)].sum()),
                is_greedy=bool(greedy[i, : len(ids)].all()),
                n_tokens=len(ids),
            ),
        )
        for i, (position, ids) in enumerate(rows)
    ]


def _pad(rows: Sequence[Sequence[int]], width: int, left: bool) -> torch.Tensor:
    """Rows of ids as a matrix, padded with 0."""
    out = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        if row:
            ids = torch.tensor(row, dtype=torch.long)
            out[i, -len(row) if left else 0 : None if left else len(row)] = ids
    return out
