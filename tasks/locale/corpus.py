"""Text about the same CLDR facts, to train a tiny model on: the corpus of croco-nano.

Two parts. ``base_documents`` teaches a language and the world: every fact, asked in other words than the
suites ask; the suites' own wordings stand there for facts of the tuning split alone. Answers to open prompts
are good, partial, wrong, repeated or in another language in known shares, so that a model's samples differ in
quality and tuning has something to teach. ``tuning_documents`` holds good answers about the tuning split only.
No evaluation item's prompt stands in either. ``preferences`` holds good answers beside flawed ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from ...harness.api.corpus import Document
from ...harness.api.records import Item
from ...harness.errors import UserError
from ...harness.text.languages import LANGUAGES
from ...harness.text.templates import fill_all
from . import cldr
from .facts import Source, Split, draw_sources, rng_for
from .items import MULTIPLE_CHOICE, families_in, render
from .open_items import draw_open_sources, names_and_facts, open_families_in, render_open
from .templates import load_templates

FLAWS = {"good": 0.45, "partial": 0.20, "wrong": 0.12, "other_language": 0.12, "repeated": 0.11}
"""Shares of the kinds of answers to open prompts in the base text."""

# Sources per family, split and pass. Families that CLDR bounds give fewer; counting stays within one cycle.
_PER_PASS = {
    "currency": 110,
    "currency_reverse": 70,
    "official_language": 110,
    "official_language_reverse": 50,
    "month_after": 40,
    "weekday_after": 14,
    "iso_date": 40,
    "territory_to_english": 110,
    "territory_from_english": 110,
    "language_to_english": 60,
    "language_from_english": 60,
    "number_format": 25,
    "list_format": 25,
}
PREFERENCE_FLAWS = ("partial", "wrong", "one_wrong", "off_topic", "repeated")
"""Flaws of rejected answers: those of the base text, one of several facts wrong, and an answer to another prompt."""

_OPEN_PER_PASS = {"describe": 110, "languages": 40, "compare": 30, "weekdays": 5, "months": 8, "date": 30}


@dataclass(frozen=True)
class FlawedPair:
    """A prompt with a good answer (``chosen``) and one with the flaw (``rejected``)."""

    source_id: str
    language: str
    family: str
    flaw: str
    prompt: str
    chosen: str
    rejected: str


class LocaleCorpus:
    """Documents in 15 languages. ``shares`` maps a language to the part of its documents kept in each pass."""

    def base_documents(self, shares: dict[str, float], passes: int, seed: int) -> Iterator[Document]:
        """``passes`` fresh draws of the base text; wordings, flaws and kept documents differ from pass to pass."""
        for number in range(passes):
            for language, share in shares.items():
                rng = rng_for(seed, "base", number, language)
                for document in self._one_pass(language, seed=seed + number, rng=rng):
                    if rng.random() < share:
                        yield document

    def tuning_documents(self, languages: tuple[str, ...], seed: int) -> Iterator[Document]:
        """Good answers to the suites' own wordings, about facts of the tuning split."""
        for language in languages:
            rng = rng_for(seed, "tuning", language)
            yield from _questions(language, "tuning", seed, own_wording=True, rng=rng)
            yield from _open_answers(language, "tuning", seed, own_wording=True, rng=rng, flaws={"good": 1.0})

    def tuning_prompts(self, language: str, seed: int) -> Iterator[tuple[Item, str]]:
        """Open prompts of the tuning split in the suites' own wording, in seeded order, each with a good answer."""
        rng = rng_for(seed, "tuning prompts", language)
        items: list[tuple[Item, str]] = []
        for family in open_families_in(language):
            wording = load_templates(language)["open"][family]["prompt"]
            for source in draw_open_sources(family, _OPEN_PER_PASS[family], seed, "tuning"):
                item = render_open(source, language, wording)
                metadata = json.dumps({"facts": item.facts, "ordered": item.ordered}, ensure_ascii=False)
                record = Item(item.item_id, item.source_id, family, item.prompt, metadata)
                items.append((record, good_answer(source, language, rng)))
        order = rng_for(seed, "order of tuning prompts")
        ranks = {source: order.random() for source in sorted({x.source_id for x, _ in items})}
        yield from sorted(items, key=lambda x: ranks[x[0].source_id])

    def preferences(
        self,
        language: str,
        seed: int,
        split: Split = "tuning",
        passes: int = 1,
        flaws: tuple[str, ...] = PREFERENCE_FLAWS,
    ) -> Iterator[FlawedPair]:
        """Good answers preferred to flawed ones, for each open prompt and flaw (where the prompt's family can have it).

        A pass asks each prompt in the suites' own wording and in another; sources come in the order of the seed.
        Flaws are those of ``PREFERENCE_FLAWS`` and ``other_language``. Raises UserError for another.
        """
        if unknown := [x for x in flaws if x not in (*PREFERENCE_FLAWS, "other_language")]:
            raise UserError(f"no flaw {unknown[0]!r}: they are {', '.join(PREFERENCE_FLAWS)} and other_language.")
        for number in range(passes):
            rng = rng_for(seed, "preferences", number, split, language)
            for family in open_families_in(language):
                texts = load_templates(language)["open"][family]
                sources = draw_open_sources(family, _OPEN_PER_PASS[family], seed + number, split)
                for source in sources:
                    for wording in (texts["prompt"], rng.choice(texts["paraphrases"])):
                        item = render_open(source, language, wording)
                        for flaw in flaws:
                            good = good_answer(source, language, rng)
                            bad = _rejected(source, sources, language, flaw, rng)
                            if bad not in (None, good):
                                yield FlawedPair(item.source_id, language, family, flaw, item.prompt, good, bad)

    def _one_pass(self, language: str, seed: int, rng: random.Random) -> Iterator[Document]:
        for split in ("evaluation", "tuning"):
            yield from _questions(language, split, seed, own_wording=False, rng=rng)
            yield from _open_answers(language, split, seed, own_wording=False, rng=rng, flaws=FLAWS)
        yield from _questions(language, "tuning", seed, own_wording=True, rng=rng)
        yield from _open_answers(language, "tuning", seed, own_wording=True, rng=rng, flaws=FLAWS)


def _questions(language: str, split: Split, seed: int, own_wording: bool, rng: random.Random) -> Iterator[Document]:
    """Short questions and answers. In other words than the suite's they show no options half of the time."""
    for family in families_in(language):
        texts = load_templates(language)[family]
        for source in draw_sources(family, _PER_PASS[family], seed, split):
            wording = texts["question"] if own_wording else rng.choice(texts["paraphrases"])
            item = render(source, language, wording, position=rng.randrange(4))
            bare = not own_wording and (family not in MULTIPLE_CHOICE or rng.random() < 0.75)
            prompt = item.question if bare else item.prompt
            yield Document(language, family, "good", prompt, item.accepted[0])


def _open_answers(
    language: str, split: Split, seed: int, own_wording: bool, rng: random.Random, flaws: dict[str, float]
) -> Iterator[Document]:
    for family in open_families_in(language):
        texts = load_templates(language)["open"][family]
        sources = draw_open_sources(family, _OPEN_PER_PASS[family], seed, split)
        for source in sources:
            wording = texts["prompt"] if own_wording else rng.choice(texts["paraphrases"])
            flaw = rng.choices(list(flaws), list(flaws.values()))[0]
            prompt = render_open(source, language, wording).prompt
            yield Document(language, family, flaw, prompt, _answer(source, sources, language, flaw, rng))


def _answer(source: Source, others: tuple[Source, ...], language: str, flaw: str, rng: random.Random) -> str:
    """An answer with the flaw: about the right thing but short, about another thing, in another language, repeated."""
    if flaw == "other_language":
        wanted = [x for x in LANGUAGES if x != language and source.family in open_families_in(x)]
        return good_answer(source, rng.choice(wanted), rng)
    if flaw == "wrong":
        wrong = rng.choice([x for x in others if x.key != source.key] or [source])
        return good_answer(_with_facts_of(source, wrong), language, rng)
    sentences = _sentences(source, language, rng)
    if flaw == "partial":
        return _shortened(source, sentences, language)
    if flaw == "repeated":
        sentences = [sentences[-1]] * rng.randint(3, 5)
    return load_templates(language)["join_sentences"].join(sentences)


def _rejected(source: Source, others: tuple[Source, ...], language: str, flaw: str, rng: random.Random) -> str | None:
    """An answer with one of the flaws of preferences; None where this source's answers can't have it."""
    if flaw not in ("one_wrong", "off_topic"):
        return _answer(source, others, language, flaw, rng)
    other = rng.choice([x for x in others if x.key != source.key])
    if flaw == "off_topic":
        return good_answer(other, language, rng)
    facts = [x for x in ("languages", "languages_2", "currency") if x in source.fields]
    if len(facts) < 2:
        return None
    wrong = rng.choice(facts)
    mixed = Source(source.family, source.key, source.cldr_key, (), {**source.fields, wrong: other.fields[wrong]})
    return good_answer(mixed, language, rng)


def good_answer(source: Source, language: str, rng: random.Random) -> str:
    """An answer that holds all the facts."""
    return load_templates(language)["join_sentences"].join(_sentences(source, language, rng))


def _with_facts_of(source: Source, other: Source) -> Source:
    """The same question with another source's answer."""
    kept = {k: v for k, v in source.fields.items() if k.startswith("territory")}
    return Source(source.family, source.key, source.cldr_key, (), {**other.fields, **kept})


def _sentences(source: Source, language: str, rng: random.Random) -> list[str]:
    texts, f = load_templates(language)["answers"], source.fields
    names, facts = names_and_facts(source, language)

    def say(kind: str, **more: object) -> str:
        return fill_all(rng.choice(texts[kind]), **names, **more)

    if source.family == "date":
        day = f["date"]
        return [say("date", weekday=facts[0][0], month=facts[1][0], year=day.year, date=cldr.full_date(day, language))]
    if source.family in ("weekdays", "months"):
        return [say("list_intro", list=", ".join(x[0] for x in facts))]
    spoken = _joined(f["languages"], language)
    if source.family == "compare":
        return [say("compare", languages=spoken, languages_2=_joined(f["languages_2"], language))]
    sentences = [say("intro"), say("languages", languages=spoken)]
    if source.family == "describe":
        sentences.append(say("currency", currency=cldr.currency_name(f["currency"], language)))
    return sentences


def _joined(codes: tuple[str, ...], language: str) -> str:
    return cldr.list_of([cldr.language_name(x, language) for x in codes], language)


def _shortened(source: Source, sentences: list[str], language: str) -> str:
    """An incomplete answer: without the last sentence, or only the first part of a single one."""
    if len(sentences) > 1:
        return load_templates(language)["join_sentences"].join(sentences[:-1])
    separator = ", " if source.family in ("weekdays", "months") else ". "
    parts = sentences[0].split(separator)
    return separator.join(parts[: max(1, len(parts) // 2)])
