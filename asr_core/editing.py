"""A transcript that a person has corrected: their words, with the times of those that stayed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher

from asr_core.transcript import Transcript, Word

HURRY = 0.05  # seconds for a letter: nobody speaks, or reads, faster


def edited(transcript: Transcript, text: str) -> Transcript:
    """`transcript` with the words of `text`.

    Words that stayed keep their times, whatever their case and punctuation; new ones share the
    time of those they replace, or the pause they were put into, by length. Where that is too
    little to say them in, their neighbours give some of theirs. A person is sure of what they
    write, so the confidence of new words is 1.
    """
    old, new = transcript.words, text.split()
    # With its rule for what is frequent: else a word said a thousand times takes minutes.
    matcher = SequenceMatcher(None, [_bare(w.text) for w in old], [_bare(w) for w in new])
    words: list[Word] = []
    hurried: list[tuple[int, int]] = []  # from which to which
    for action, i, j, k, end in matcher.get_opcodes():
        if action == "equal":
            pairs = zip(old[i:j], new[k:end], strict=True)
            words += [replace(word, text=written) for word, written in pairs]
        elif action != "delete":
            first = old[i].start if i < j else (old[i - 1].end if i else 0.0)
            following = old[i].start if i < len(old) else transcript.duration
            fresh = [Word(text, first, first, 1.0) for text in new[k:end]]
            words += _spread(fresh, first, old[j - 1].end if i < j else following)
            hurried.append((k, end))
    for first, after in hurried:
        _ease(words, first, after, transcript.duration)
    return replace(transcript, words=tuple(words))


def _ease(words: list[Word], first: int, after: int, duration: float) -> None:
    """Give `words[first:after]` time to be said in, with as few of their neighbours as it takes."""
    start, end = words[first].start, words[after - 1].end
    needed = HURRY * _letters(words[first:after])
    if end - start >= needed:
        return
    backwards = True
    while end - start < needed and (first or after < len(words)):
        if first and (backwards or after == len(words)):
            first -= 1
            start, giver = words[first].start, words[first]
        else:
            end, giver = words[after].end, words[after]
            after += 1
        needed += HURRY * len(giver.text)
        backwards = not backwards
    if end - start < needed:
        start, end = 0.0, duration
    words[first:after] = _spread(words[first:after], start, end)


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
    return "".join(filter(str.isalnum, word)).casefold() or word
