"""Make the language model that comes with the embedded model: everyday and banking English.

Nothing that models are measured on gets in: lines that hold a test transcript are left out, and so
are the transcripts on which `python -m asr_core language-model tune` then finds its weights.
"""

from __future__ import annotations

import logging
import lzma
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from asr_core import language_model_sources
from asr_core.capitals import Forms
from asr_core.recipe import sentences
from asr_core.text import Spelling, normalize

log = logging.getLogger("asr_core")

MEGABYTES = 9.5
SPELLING = Spelling(case="lower")
# How often each text is read, by the start of the file's name: what people say to a bank or a
# device must not drown in books. Files named by none of these are left out.
READINGS = {
    "banking77_train": 8,
    "nlupp": 8,
    "multidogo_finance": 5,
    "multidogo": 2,
    "clinc150": 4,
    "hwu64": 3,
    "slurp_lm": 3,
    "snips": 2,
    "taskmaster4": 2,
    "polyai": 2,
    "sgd_user": 1,
    "tatoeba": 3,
    "self_dialogue": 1,
    "common_voice": 2,
    "masc": 2,
    "us_": 1,
    "books": 1,
}
SPOKEN = {"speechocean762_train": 10, "wuw_train": 10}  # transcripts of speech, by file
HELD_OUT = 0.1  # share of those, at the beginning, that stays out: to tune the weights on
WHOLE = 4  # words: a line that holds a test transcript of as many or more is left out

ABBREVIATIONS = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint"}
ABBREVIATED = re.compile(rf"\b({'|'.join(ABBREVIATIONS)})\.", re.IGNORECASE)
NUMBER = re.compile(r"\d+")
UNITS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen""".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def in_words(number: int) -> str:
    """`number` below a million as it is read aloud."""
    if number < 20:
        return UNITS[number]
    if number < 100:
        return TENS[number // 10 - 2] + (f" {UNITS[number % 10]}" if number % 10 else "")
    if 1100 <= number < 2000 and number % 100:  # years
        rest = number % 100
        return f"{in_words(number // 100)} {'oh ' if rest < 10 else ''}{in_words(rest)}"
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    rest = number % size
    return f"{in_words(number // size)} {name}" + (f" {in_words(rest)}" if rest else "")


def spoken(line: str) -> str:
    """`line` as it is read aloud, normalised."""
    line = ABBREVIATED.sub(lambda found: ABBREVIATIONS[found[1].lower()], line)
    line = line.replace(",000", "000").replace("$", " ").replace("%", " percent ")
    line = NUMBER.sub(
        lambda found: (
            f" {in_words(int(found[0]))} "
            if len(found[0]) < 5 or (len(found[0]) < 7 and found[0].endswith("000"))
            else f" {' '.join(UNITS[int(digit)] for digit in found[0] if digit.isascii())} "
        ),
        line,
    )
    return normalize(line, SPELLING)


class Forbidden:
    """Transcripts that models are measured on, and whether a line holds one."""

    def __init__(self, transcripts: Iterable[str]) -> None:
        self.whole = {normalize(text, SPELLING) for text in transcripts}
        self.by_start: dict[tuple[str, ...], list[str]] = {}
        for text in self.whole:
            words = text.split()
            if len(words) >= WHOLE:
                self.by_start.setdefault(tuple(words[:WHOLE]), []).append(text)

    def __contains__(self, line: str) -> bool:
        if line in self.whole:
            return True
        words = line.split()
        return any(
            f" {text} " in f" {line} "
            for i in range(len(words) - WHOLE + 1)
            for text in self.by_start.get(tuple(words[i : i + WHOLE]), ())
        )


def transcripts(path: Path) -> list[str]:
    return pq.read_table(path, columns=["transcription"])["transcription"].to_pylist()


def lines(text: Path, speech: Path, forms: Forms) -> Iterator[tuple[str, int]]:
    """(line as it is spoken, how often to read it); `forms` see it as it is written."""
    for path in sorted(text.glob("*.txt.xz")):
        readings = next((n for name, n in READINGS.items() if path.name.startswith(name)), 0)
        if readings:
            with lzma.open(path, "rt", encoding="utf-8") as file:
                for line in file:
                    forms.read(line, readings)
                    yield spoken(line), readings
    for name, readings in SPOKEN.items():
        spoken_there = transcripts(speech / f"{name}.parquet")
        for line in spoken_there[round(HELD_OUT * len(spoken_there)) :]:
            yield spoken(line), readings


def make_language_model(text: Path, speech: Path, output: Path) -> None:
    """Build into `output` from folders of texts and of speech, whose `*_dev` parts stay out."""
    measured = [line for part in sentences.TEST.values() for line in part]
    for path in sorted(speech.glob("*_dev.parquet")):
        measured += transcripts(path)
    forbidden = Forbidden(measured)
    left_out, forms = 0, Forms()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text.txt")
        with path.open("w", encoding="utf-8") as file:
            for line, readings in lines(text, speech, forms):
                if line in forbidden:
                    left_out += 1
                elif line:
                    file.write(f"{line}\n" * readings)
        log.info("%d lines hold a test transcript and were left out", left_out)
        language_model_sources.build(
            [path], output, order=3, megabytes=MEGABYTES, minimum=6, forms=forms
        )
