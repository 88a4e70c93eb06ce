"""A transcript as a file: plain text, JSON, a table, or subtitles for a player.

    render(transcript, "srt")

Subtitles follow what broadcasters agree on (BBC and Netflix timed text guides): two lines of at
most 42 characters, shown for about one to seven seconds, never two at a time.
"""

from __future__ import annotations

import html
import itertools
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace

from asr_core.errors import OptionError
from asr_core.transcript import Transcript, Word

LINE = 42  # characters
LINES = 2
SHORTEST = 1_000  # milliseconds that a cue stays where there is room for it
LONGEST = 7_000  # milliseconds
PAUSE = 1.0  # seconds without a word after which a new cue begins


@dataclass(frozen=True)
class Cue:
    """What is shown at once: `lines` from `start` to `end`, in milliseconds."""

    start: int
    end: int
    lines: tuple[str, ...]


def render(transcript: Transcript, format: str) -> str:
    """The contents of a file in one of FORMATS. Raises OptionError for any other."""
    if format not in FORMATS:
        raise OptionError(f"There is no format '{format}': use one of {', '.join(FORMATS)}.")
    return FORMATS[format](transcript)


def cues(transcript: Transcript) -> list[Cue]:
    """The words in groups that can be read: in order, apart, and within the recording."""
    made: list[Cue] = []
    limit = int(transcript.duration * 1000)
    # Backwards, as each cue may stay until the next one comes.
    for words in reversed(list(_groups(transcript.words))):
        start, end = (round(seconds * 1000) for seconds in (words[0].start, words[-1].end))
        end = min(max(end, start + SHORTEST), start + LONGEST, limit)
        start = max(0, min(start, end - 1))
        made.append(Cue(start, end, tuple(_lines(words))))
        limit = start
    return made[::-1]


def _groups(words: tuple[Word, ...]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in itertools.chain.from_iterable(map(_pieces, words)):
        if group and (
            word.start - group[-1].end >= PAUSE
            or word.end - group[0].start > LONGEST / 1000
            or len(_lines([*group, word])) > LINES
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _pieces(word: Word) -> Iterator[Word]:
    """A word longer than a line (a language without spaces) in pieces that fill one each."""
    second = (word.end - word.start) / max(1, len(word.text))  # seconds per character
    for at in range(0, len(word.text), LINE):
        text = word.text[at : at + LINE]
        start = word.start + at * second
        yield replace(word, text=text, start=start, end=start + len(text) * second)


def _lines(words: list[Word]) -> list[str]:
    """As few lines as hold the words, and those of about equal length."""
    text = " ".join(word.text for word in words)
    lines = textwrap.wrap(text, LINE, break_on_hyphens=False)
    for width in range(len(text) // max(1, len(lines)), LINE):
        even = textwrap.wrap(text, max(1, width), break_on_hyphens=False, break_long_words=False)
        if len(even) == len(lines) and max(map(len, even)) <= LINE:
            return even
    return lines


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"


def _txt(transcript: Transcript) -> str:
    return f"{transcript.text}\n" if transcript.text else ""


def _json(transcript: Transcript) -> str:
    return json.dumps(transcript.to_dict(), ensure_ascii=False, indent=2) + "\n"


def _srt(transcript: Transcript) -> str:
    return "".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        + "\n".join(cue.lines)
        + "\n\n"
        for number, cue in enumerate(cues(transcript), start=1)
    )


def _vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n"
        + html.escape("\n".join(cue.lines), quote=False)
        + "\n\n"
        for cue in cues(transcript)
    )


def _tsv(transcript: Transcript) -> str:
    """As Whisper writes it: milliseconds, so that every spreadsheet reads them as numbers."""
    rows = (f"{cue.start}\t{cue.end}\t{' '.join(cue.lines)}\n" for cue in cues(transcript))
    return "start\tend\ttext\n" + "".join(rows)


FORMATS = {"txt": _txt, "json": _json, "srt": _srt, "vtt": _vtt, "tsv": _tsv}
