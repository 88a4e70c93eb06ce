"""A transcript that a person has corrected: their words, with the times of those that stayed."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from rapidfuzz.distance import Levenshtein

from asr_core.text import parted
from asr_core.transcript import Transcript, Word

HURRY = 0.05  # seconds for a letter: nobody speaks, or reads, faster
ROUNDING = 0.002  # seconds


def edited(transcript: Transcript, text: str) -> Transcript:
    """`transcript` with the words of `text`.

    Words that stayed keep their times, whatever their case and punctuation. As many new ones as
    they replace take over their times, one for one; others share the time of those they replace,
    or the pause they were put into, by length. Where that is too little to say them in, pauses
    and then neighbours beside them give what is missing. A person is sure of what they write, so
    the confidence of new words is 1.
    """
    old, parts = transcript.words, list(parted(text))
    new = [written for written, _ in parts]
    words: list[Word] = []
    fresh: list[tuple[int, int]] = []  # from which to which
    for kept, i, j, k, end in _blocks([_bare(w.text) for w in old], [_bare(w) for w in new]):
        if kept:
            pairs = zip(old[i:j], new[k:end], strict=True)
            words += [replace(word, text=written) for word, written in pairs]
        elif j - i == end - k:
            pairs = zip(old[i:j], new[k:end], strict=True)
            words += [replace(word, text=written, confidence=1.0) for word, written in pairs]
            fresh += [(each, each + 1) for each in range(k, end)]
        elif k < end:
            first = old[i].start if i < j else (old[i - 1].end if i else 0.0)
            following = old[i].start if i < len(old) else transcript.duration
            told = [Word(text, first, first, 1.0) for text in new[k:end]]
            words += _spread(told, first, old[j - 1].end if i < j else following)
            fresh.append((k, end))
    least = [min(word.end - word.start, HURRY * len(word.text)) for word in words]
    for first, after in fresh:
        least[first:after] = [HURRY * len(word.text) for word in words[first:after]]
    if fresh and sum(least) > transcript.duration:  # not even all of the recording is enough
        words = list(_spread(words, 0.0, transcript.duration))
    else:
        for first, after in fresh:
            _ease(words, least, first, after, transcript.duration)
    return replace(
        transcript,
        words=tuple(
            replace(word, start=round(word.start, 3), end=round(word.end, 3), space=space)
            for word, (_, space) in zip(words, parts, strict=True)
        ),
    )


def _blocks(old: list[str], new: list[str]) -> Iterator[tuple[bool, int, int, int, int]]:
    """(whether it stayed, old from, to, new from, to) of stretches, with the fewest edits."""
    # Not difflib, which takes what is said again and again for noise, or else minutes.
    steps = Levenshtein.opcodes(old, new)
    for kept, group in itertools.groupby(steps, lambda step: step.tag == "equal"):
        block = list(group)
        first, last = block[0], block[-1]
        yield kept, first.src_start, last.src_end, first.dest_start, last.dest_end


def _ease(words: list[Word], least: list[float], first: int, after: int, duration: float) -> None:
    """Give `words[first:after]` time to be said in: what is free, then what neighbours can spare.

    Neighbours become shorter, or move into a pause beyond them, by no more than is missing. Each
    keeps its `least` seconds, or gets them, so that new ones among them need not look for these.
    """
    start, end = words[first].start, words[after - 1].end
    needed = sum(least[first:after])
    if end - start > needed - ROUNDING:
        return
    i, j = first, after  # words[i:j] are these and the neighbours that give
    low, high = _free(words, i, j, duration)
    kept_before = kept_after = 0.0  # seconds that the neighbours keep
    while high - low < kept_before + needed + kept_after and (i or j < len(words)):
        if i and (first - i <= j - after or j == len(words)):
            i -= 1
            kept_before += least[i]
        else:
            kept_after += least[j]
            j += 1
        low, high = _free(words, i, j, duration)
    end = min(start + needed, high - kept_after)
    words[first:after] = _spread(words[first:after], min(start, end - needed), end)
    for k in reversed(range(i, first)):
        kept_before -= least[k]
        end = min(words[k].end, words[k + 1].start)
        start = max(min(words[k].start, end - least[k]), low + kept_before)
        words[k] = replace(words[k], start=min(round(start, 3), end), end=end)
    for k in range(after, j):
        kept_after -= least[k]
        start = max(words[k - 1].end, min(words[k].start, high - kept_after - least[k]))
        end = min(max(words[k].end, start + least[k]), high - kept_after)
        words[k] = replace(words[k], start=start, end=max(round(end, 3), start))


def _free(words: list[Word], i: int, j: int, duration: float) -> tuple[float, float]:
    """From the end of the word before `words[i:j]` to the start of the one after."""
    low = words[i - 1].end if i else 0.0
    return low, words[j].start if j < len(words) else duration


def _spread(words: list[Word], start: float, end: float) -> Iterator[Word]:
    """The same words from `start` to `end`, each by its length."""
    second = (max(end, start) - start) / _letters(words)  # of time for a letter
    for word in words:
        end = start + second * len(word.text)
        yield replace(word, start=round(start, 3), end=round(end, 3))
        start = end


def _letters(words: list[Word]) -> int:
    return sum(len(word.text) for word in words)


def _bare(word: str) -> str:
    spoken = (c for c in word if unicodedata.category(c)[0] in "LMN")
    return "".join(spoken).casefold() or word
