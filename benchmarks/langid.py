"""How well are the registry's 15 languages told apart? The tables of docs/langid.md.

Parallel sentences of NTREX-128 (news), SIB-200 (encyclopedia, FLORES-200) and the Universal Declaration of Human Rights
go through ``croco_eval.harness.text.langid``, one by one and joined. Prints Markdown.

    python benchmarks/langid.py [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations, product
from pathlib import Path
from statistics import fmean

from croco_eval.harness.text.langid import Identification, identify
from croco_eval.harness.text.languages import LANGUAGES
from croco_eval.reports.stats import mean_interval

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
HARD = (("da", "no", "sv"), ("es", "gl", "pt"))
"""Languages that are written alike: each is asked whether it is the others."""
ASIDE = {"nn": "no", "pt-BR": "pt"}
"""Varieties that the registry doesn't have, and the language they count as."""

# Article 1 of the Universal Declaration of Human Rights in languages that are not in the registry.
OUTSIDE = {
    "Catalan": "Tots els éssers humans neixen lliures i iguals en dignitat i en drets. Són dotats de raó i de "
    "consciència, i han de comportar-se fraternalment els uns amb els altres.",
    "Estonian": "Kõik inimesed sünnivad vabadena ja võrdsetena oma väärikuselt ja õigustelt. Neile on antud mõistus "
    "ja südametunnistus.",
    "Icelandic": "Hver maður er borinn frjáls og jafn öðrum að virðingu og réttindum. Menn eru gæddir vitsmunum og "
    "samvisku.",
    "Polish": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni "
    "rozumem i sumieniem.",
    "Scottish Gaelic": "Tha gach uile dhuine air a bhreith saor agus co-ionnan ann an urram 's ann an còirichean.",
    "Turkish": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler.",
    "West Frisian": "Alle minsken wurde frij en gelyk yn weardigens en rjochten berne. Hja hawwe ferstân en gewisse "
    "meikrigen.",
    "Arabic": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا.",
    "Chinese": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.",
}

Found = Mapping[str, Sequence[Identification]]
"""The true language of some texts -> what was found."""


def read_ntrex(data: Path) -> dict[str, list[str]]:
    """Language -> its sentences, in the order of the documents."""
    names = {x: "nb" if x == "no" else x for x in (*LANGUAGES, *ASIDE)}
    return {x: (data / "ntrex128" / f"{name}.txt").read_text("utf-8").splitlines() for x, name in names.items()}


def read_udhr(data: Path) -> dict[str, list[str]]:
    """Language -> its paragraphs, in the order of the articles."""
    articles = json.loads((data / "udhr" / "articles.json").read_text("utf-8"))
    return {x: [p for a in articles["nb" if x == "no" else x].values() for p in a] for x in (*LANGUAGES, "nn")}


def read_sib200(data: Path) -> dict[str, list[str]]:
    """Language -> the sentences of all three splits."""
    found: dict[str, list[str]] = {}
    for language in (*LANGUAGES, "nn"):
        for split in ("train", "dev", "test"):
            file = data / "sib200" / f"{'nb' if language == 'no' else language}_{split}.tsv"
            with file.open(encoding="utf-8", newline="") as lines:
                rows = csv.DictReader(lines, delimiter="\t")
                found.setdefault(language, []).extend(x["text"] for x in rows)
    return found


def joined(texts: Sequence[str], size: int) -> list[str]:
    """``size`` texts at a time, as one; what is left over at the end is dropped."""
    return [" ".join(texts[i : i + size]) for i in range(0, len(texts) - size + 1, size)]


def opening(text: str, letters: int) -> str | None:
    """The first words of a text, as many as it takes to have so many letters; None if it has fewer."""
    words, count = [], 0
    for word in text.split():
        words.append(word)
        count += sum(x.isalpha() for x in word)
        if count >= letters:
            return " ".join(words)
    return None


def identified(texts: Mapping[str, Iterable[str]]) -> dict[str, list[Identification]]:
    """What is found for the texts of each language."""
    return {language: [identify(x) for x in of_language] for language, of_language in texts.items()}


def confusion(found: Found) -> dict[str, dict[str, int]]:
    """True language -> registry language -> number of texts for which it is the most likely one."""
    return {
        true: {x: sum(next(iter(y.probabilities)) == x for y in of_language) for x in LANGUAGES}
        for true, of_language in found.items()
    }


def verdicts(found: Sequence[Identification], language: str) -> list[bool | None]:
    """Whether each of the texts is in the language."""
    return [x.is_in(language) for x in found]


def share(values: Iterable[bool]) -> float:
    """Share of what is true; NaN for nothing."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else float("nan")


def called_wrong(found: Sequence[Identification], language: str, ratio: float) -> float:
    """Share of texts that would be called off target in a language, by the rule's probabilities alone: those where it
    is at most ``ratio`` times as likely as another language."""
    return share(x.probabilities[language] <= ratio * max(x.probabilities.values()) for x in found)


def markdown(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(x) for x in line)} |" for line in lines) + "\n"


def percent(value: float) -> str:
    """A share in per cent; a zero that is none has no decimals."""
    return "0" if value == 0 else f"{100 * value:.2f}"


def matrix_table(found: Found) -> str:
    """Rows: true languages. Columns: how many of its texts were found most likely to be in each language."""
    rows = []
    for true, counts in confusion(found).items():
        own = ASIDE.get(true, true)
        told = verdicts(found[true], own)
        rates = (counts[own] / len(told), share(x is None for x in told), share(x is False for x in told))
        rows.append((f"**{true}**", *(counts[x] or "" for x in LANGUAGES), *map(percent, rates)))
    return markdown(("", *LANGUAGES, "right %", "uncertain %", "off %"), rows)


def length_table(by_length: Mapping[tuple[str, int], Found]) -> str:
    """Texts of 1, 2 and 4 sentences of each data set: errors over all languages, and in the worst one."""
    rows = []
    for (name, size), found in by_length.items():
        told = {x: verdicts(found[x], x) for x in LANGUAGES}
        wrong = {x: share(next(iter(y.probabilities)) != x for y in found[x]) for x in LANGUAGES}
        unsure = {x: share(y is None for y in told[x]) for x in LANGUAGES}
        off = false_alarms(y for x in LANGUAGES for y in told[x])
        rows.append((name, size, sum(map(len, told.values())), mean_and_worst(wrong), mean_and_worst(unsure), *off))
    head = ("data", "sentences", "texts", "not most likely %", "uncertain %", "called off target", "upper bound %")
    return markdown(head, rows)


def language_table(sentences: Sequence[Found]) -> str:
    """Single sentences of all data sets, by language: uncertain, falsely off target, upper bound of that rate."""
    rows = []
    for language in LANGUAGES:
        told = [y for found in sentences for y in verdicts(found[language], language)]
        rows.append((language, len(told), percent(share(x is None for x in told)), *false_alarms(told)))
    return markdown(("language", "sentences", "uncertain %", "called off target", "upper bound %"), rows)


def false_alarms(told: Iterable[bool | None]) -> tuple[int, str]:
    """Texts called off target that are not, and the upper end of Wilson's 95% interval of their rate, uncertain texts
    aside, in per cent."""
    off = mean_interval([None if x is None else float(not x) for x in told], kind="binary")
    return round(off.value * off.n), percent(off.ci_high)


def pair_table(found: Mapping[int, Found]) -> str:
    """Texts of 1 and 2 sentences in hard languages, asked whether they are in a neighbour."""
    rows = []
    for group in HARD:
        varieties = [x for x, own in ASIDE.items() if own in group]
        for true, asked in (*permutations(group, 2), *product(varieties, group)):
            told = [verdicts(of_size[true], asked) for of_size in found.values()]
            rows.append((true, asked, *(percent(share(y is x for y in z)) for z in told for x in (False, None, True))))
    head = [f"{x} %, {size} sentence{'s' if size > 1 else ''}" for size in found for x in ("off", "uncertain", "in it")]
    return markdown(("text in", "asked for", *head), rows)


def off_threshold_table(lengths: Mapping[str, Found]) -> str:
    """Ratio below which a text is called off target -> false calls in its own language, missed texts of neighbours."""
    rows = []
    for ratio in (0.05, 0.1, 0.2, 0.35, 0.5, 0.99):
        row: list[object] = [ratio]
        for found in lengths.values():
            missed = [1 - called_wrong(found[true], asked, ratio) for true, asked in neighbours()]
            row += [mean_and_worst({x: called_wrong(found[x], x, ratio) for x in LANGUAGES}), percent(fmean(missed))]
        rows.append(row)
    head = [f"{name}: {x} %" for name in lengths for x in ("false", "neighbour missed")]
    return markdown(("ratio", *head), rows)


def in_threshold_table(lengths: Mapping[str, Found]) -> str:
    """Probability from which a text is taken to be in a language -> own texts not taken, neighbours' texts taken."""

    def taken(found: Sequence[Identification], language: str, least: float) -> float:
        return share(next(iter(x.probabilities)) == language and x.probabilities[language] >= least for x in found)

    rows = []
    for least in (0.3, 0.4, 0.5, 0.6, 0.7, 0.9):
        row: list[object] = [least]
        for found in lengths.values():
            wrongly = [taken(found[true], asked, least) for true, asked in neighbours()]
            row += [mean_and_worst({x: 1 - taken(found[x], x, least) for x in LANGUAGES}), percent(fmean(wrongly))]
        rows.append(row)
    head = [f"{name}: {x} %" for name in lengths for x in ("own not taken", "neighbour taken")]
    return markdown(("probability", *head), rows)


def outside_table() -> str:
    """What is made of languages that are not in the registry."""
    rows = []
    for name, text in OUTSIDE.items():
        found = identify(text)
        told = {x: found.is_in(x) for x in LANGUAGES}
        likeliest, probability = next(iter(found.probabilities.items()))
        lists = [" ".join(x for x, y in told.items() if y is wanted) for wanted in (None, True)]
        rows.append((name, f"{likeliest} {probability:.2f}", f"{found.outside:.3f}", found.language, *lists))
    head = ("text in", "nearest of the 15", "outside", "named", "uncertain for", "taken for")
    return markdown(head, rows)


def neighbours() -> list[tuple[str, str]]:
    """Hard pairs: (language of the text, language asked for)."""
    return [x for group in HARD for x in permutations(group, 2)]


def mean_and_worst(rates: Mapping[str, float]) -> str:
    """Mean over languages and the highest rate, in per cent."""
    worst = max(rates, key=lambda x: rates[x])
    return f"{percent(fmean(rates.values()))} ({worst} {percent(rates[worst])})" if rates[worst] else "0"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with ntrex128, sib200 and udhr")
    data = parser.parse_args().data
    begun = time.perf_counter()
    sources = {"NTREX-128": read_ntrex(data), "SIB-200": read_sib200(data), "UDHR": read_udhr(data)}
    by_length = {
        (name, size): identified({x: joined(y, size) for x, y in texts.items()})
        for name, texts in sources.items()
        for size in (1, 2, 4)
    }
    ntrex = {size: by_length["NTREX-128", size] for size in (1, 2)}
    lengths = {
        f"{n} letters": identified({x: [y for t in sources["NTREX-128"][x] if (y := opening(t, n))] for x in LANGUAGES})
        for n in (10, 20, 40)
    } | {"sentence": {x: [y for y in ntrex[1][x] if y.letters >= 20] for x in LANGUAGES}}
    sentences = [by_length[name, 1] for name in sources]
    outside = [y.outside for found in sentences for x in LANGUAGES for y in found[x] if y.letters >= 20]
    tables = {
        "Confusion, single sentences of NTREX-128": matrix_table(ntrex[1]),
        "Length": length_table(by_length),
        "Single sentences of all three": language_table(sentences),
        "Neighbours, NTREX-128": pair_table(ntrex),
        "Called off target, NTREX-128": off_threshold_table(lengths),
        "Taken to be in the language, NTREX-128": in_threshold_table(lengths),
        "Languages outside the registry": outside_table(),
    }
    for title, table in tables.items():
        print(f"## {title}\n\n{table}")
    print(
        f"Highest probability of a language outside the registry, {len(outside)} sentences of 20 letters and more in "
        f"the 15 languages: {max(outside):.3f}"
    )
    print(f"{time.perf_counter() - begun:.0f} seconds")


if __name__ == "__main__":
    main()
