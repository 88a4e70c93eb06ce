"""What was said, when, and how sure we are: the result that every part of the app passes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Word:
    """One word of a transcript, or one character where words are written without spaces.

    `start` and `end` are seconds from the beginning of the recording; `confidence` in [0, 1] is
    the geometric mean of the probabilities of its characters. `space` says whether one stands
    before it, unless it is the first.
    """

    text: str
    start: float
    end: float
    confidence: float
    space: bool = True


@dataclass(frozen=True)
class Transcript:
    """The words of one recording.

    `duration` is the seconds of audio read so far, all of it once `complete`; `source` names the
    recording; `warnings` are sentences about the recording that a person should see.
    """

    words: tuple[Word, ...]
    duration: float
    source: str = ""
    complete: bool = True
    warnings: tuple[str, ...] = ()

    @cached_property
    def text(self) -> str:
        return joined(self.words)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `text` first, then every field."""
        return {"text": self.text, **asdict(self)}


def joined(words: Iterable[Word]) -> str:
    """The text that they make."""
    return "".join(f" {word.text}" if word.space else word.text for word in words).strip()
