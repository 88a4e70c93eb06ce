"""A transcript as a file: plain text, JSON, a table, or subtitles for a player.

    render(transcript, "srt")

Subtitles follow what broadcasters agree on (BBC and Netflix timed text guides): two lines of at
most 42 characters, or 16 of Chinese, Japanese and Korean, shown for about one to seven seconds,
never two at a time.
"""

from __future__ import annotations

import functools
import html
import itertools
import json
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from asr_core.errors import OptionError
from asr_core.transcript import Transcript, Word

LINE = 42  # columns: a character takes one
WIDE = 2.6  # columns that one of Chinese, Japanese or Korean takes
LINES = 2
SHORTEST_CUE = 1_000  # milliseconds that a cue stays where there is room for it
LONGEST_CUE = 7_000  # milliseconds
CUE_BREAK = 1.0  # seconds without a word after which a new cue begins


@dataclass(frozen=True)
class Cue:
    """What is shown at once: `lines` from `start` to `end`, in milliseconds."""

    start: int
    end: int
    lines: tuple[str, ...]
    text: str  # in one line


@dataclass(frozen=True)
class _Piece:
    """A word, or as much of one as fills a line; `space` stands before it within a line."""

    text: str
    start: float  # seconds
    end: float
    space: str = " "


def render(transcript: Transcript, format: str) -> str:
    """The contents of a file in one of FORMATS. Raises OptionError for any other."""
    return writer(format)(transcript)


def writer(format: str) -> Callable[[Transcript], str]:
    """`render` for one of FORMATS. Raises OptionError for any other."""
    if not isinstance(format, str) or format not in FORMATS:
        raise OptionError(f"There is no format '{format}': use one of {', '.join(FORMATS)}.")
    return FORMATS[format]


def cues(transcript: Transcript) -> list[Cue]:
    """The words in groups that can be read: in order, apart, and within the recording."""
    made: list[Cue] = []
    limit = int(transcript.duration * 1000)
    # Backwards, as each cue may stay until the next one comes.
    for pieces in reversed(list(_groups(transcript.words))):
        start, end = (round(seconds * 1000) for seconds in (pieces[0].start, pieces[-1].end))
        end = min(max(end, start + SHORTEST_CUE), start + LONGEST_CUE, limit)
        start = max(0, min(start, end - 1))
        made.append(Cue(start, end, tuple(_lines(pieces)), _joined(pieces)))
        limit = start
    return made[::-1]


def _groups(words: tuple[Word, ...]) -> Iterator[list[_Piece]]:
    group: list[_Piece] = []
    for piece in itertools.chain.from_iterable(map(_pieces, words)):
        if group and (
            piece.start - group[-1].end >= CUE_BREAK
            or piece.end - group[0].start > LONGEST_CUE / 1000
            or len(_wrapped([*group, piece], LINE)) > LINES
        ):
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _pieces(word: Word) -> Iterator[_Piece]:
    """A word longer than a line in pieces that fill one each."""
    text, size = word.text, len(word.text)
    second = (word.end - word.start) / max(1, size)  # seconds per character
    first = 0
    cuts = [at for at in range(1, size + 1) if at == size or not _is_mark(text[at])]
    for at, next_at in itertools.zip_longest(cuts, cuts[1:]):
        if next_at is None or _width(text[first:next_at]) > LINE:
            start, end = word.start + first * second, word.start + at * second
            yield _Piece(text[first:at], start, end, " " if word.space and not first else "")
            first = at


def _lines(pieces: list[_Piece]) -> list[str]:
    """As few lines as hold the pieces, and those of about equal length."""
    lines = _wrapped(pieces, LINE)
    for width in range(int(_width(_joined(pieces)) / len(lines)), LINE):
        even = _wrapped(pieces, width)
        if len(even) == len(lines) and max(map(_width, even)) <= LINE:
            return even
    return lines


def _wrapped(pieces: list[_Piece], width: float) -> list[str]:
    """Lines of as many pieces as fit into `width` columns, or of one that is wider."""
    lines = [pieces[0].text]
    for piece in pieces[1:]:
        longer = lines[-1] + piece.space + piece.text
        if _width(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(piece.text)
    return lines


def _joined(pieces: list[_Piece]) -> str:
    return pieces[0].text + "".join(piece.space + piece.text for piece in pieces[1:])


def _width(text: str) -> float:
    """Columns that a text takes."""
    return float(len(text)) if text.isascii() else sum(map(_columns, text))


@functools.cache
def _columns(character: str) -> float:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0.0
    return WIDE if unicodedata.east_asian_width(character) in "WF" else 1.0


def _is_mark(character: str) -> bool:
    """Whether it belongs to the letter before; the vowel am of Thai is in part such a mark."""
    return unicodedata.category(unicodedata.normalize("NFKD", character)[0])[0] == "M"


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
    rows = (f"{cue.start}\t{cue.end}\t{cue.text}\n" for cue in cues(transcript))
    return "start\tend\ttext\n" + "".join(rows)


FORMATS = {"txt": _txt, "json": _json, "srt": _srt, "vtt": _vtt, "tsv": _tsv}
