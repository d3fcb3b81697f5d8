"""Renders a pair of answers as the messages that a judge model is sent."""

from __future__ import annotations

from hashlib import sha256

from ...harness.api.records import AnswerPair, Order
from ...harness.text.languages import LANGUAGES
from ...harness.text.templates import fill
from .options import LlmOptions
from .prompt import Prompt, load_prompt
from .sanitize import shown_text

Messages = tuple[tuple[str, str], ...]


def prompt_for(language: str, options: LlmOptions) -> Prompt:
    """The words for answers in a language."""
    return load_prompt("en" if options.prompt_language == "english" else language)


def random_order(seed: int, item_id: str) -> Order:
    """One of the two orders, drawn by a hash of seed and item (the study's protocol: one random order per item)."""
    drawn = sha256(f"order\0{seed}\0{item_id}".encode()).digest()[0]
    return "candidate_first" if drawn % 2 == 0 else "reference_first"


def render(pair: AnswerPair, order: Order, options: LlmOptions, seed: int) -> Messages:
    """The messages for one judgment; Answer A is the one shown first.

    The question and the answers stand between lines with a mark that no answer can know: a hash of the run's seed and
    the item. It is the same in both orders, so two equal answers give the same messages in both, which are asked once:
    a system against itself gets exactly one half.
    """
    prompt = prompt_for(pair.language, options)
    answers = pair.answers if order == "candidate_first" else reversed(pair.answers)
    question, _ = shown_text(pair.item.prompt)
    shown = [shown_text(x.visible, options.max_answer_chars) for x in answers]
    mark = _mark(seed, pair.item.item_id, (question, *(text for text, _ in shown)))
    parts = [_section(prompt.question, question, mark)]
    for label, (text, is_cut) in zip((prompt.answer_a, prompt.answer_b), shown, strict=True):
        note = prompt.empty if not text.strip() else ""
        if is_cut:
            note = fill(prompt.truncated, n=f"{options.max_answer_chars}")
        parts.append(_section(label, text, mark, note))
    system = _instructions(prompt, pair.language, options, mark)
    user = "\n\n".join((*parts, prompt.reminder))
    return (("system", system), ("user", user)) if options.system_role else (("user", f"{system}\n\n{user}"),)


def _instructions(prompt: Prompt, language: str, options: LlmOptions, mark: str) -> str:
    known = LANGUAGES[language]
    values = {"language_name": known.name if prompt.language == "en" else known.native_name, "mark": mark}
    criteria = options.criteria or [fill(x, **values) for x in prompt.default_criteria]
    parts = [fill(prompt.system, **values)]
    if options.rubric:
        parts.append(f"{prompt.rubric_heading}\n{options.rubric}")
    if options.criteria or not options.rubric:
        parts.append("\n".join((prompt.criteria_heading, *(f"- {x}" for x in criteria))))
    ending = "" if options.ties else "_no_tie"
    parts.append(getattr(prompt, f"verdict_{options.verdict}{ending}"))
    return "\n\n".join(parts)


def _section(label: str, text: str, mark: str, note: str = "") -> str:
    """A text between marked lines; a note about it stands outside, where only the judge's own instructions speak."""
    heading = f"{label} {note}".rstrip()
    return f"{heading}\n[{mark}]\n{text}\n[/{mark}]"


def _mark(seed: int, item_id: str, texts: tuple[str, ...]) -> str:
    """16 hex digits that stand in none of the texts."""
    attempt = 0
    while True:
        mark = sha256(f"mark\0{seed}\0{item_id}\0{attempt}".encode()).hexdigest()[:16]
        if not any(mark in x for x in texts):
            return mark
        attempt += 1
