"""A transcript that a person has corrected: their words, with the times of those that stayed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher

from asr_core.transcript import Transcript, Word


def edited(transcript: Transcript, text: str) -> Transcript:
    """`transcript` with the words of `text`.

    Words that stayed keep their times, whatever their case and punctuation; new ones share the
    time of those they replace, or the pause they were put into, by length. A person is sure of
    what they write, so the confidence of new words is 1.
    """
    old, new = transcript.words, text.split()
    matcher = SequenceMatcher(None, [_bare(w.text) for w in old], [_bare(w) for w in new], False)
    words: list[Word] = []
    for action, i, j, k, end in matcher.get_opcodes():
        if action == "equal":
            pairs = zip(old[i:j], new[k:end], strict=True)
            words += [replace(word, text=written) for word, written in pairs]
        elif action != "delete":
            first = old[i].start if i < j else (old[i - 1].end if i else 0.0)
            following = old[i].start if i < len(old) else transcript.duration
            words += _spread(new[k:end], first, old[j - 1].end if i < j else following)
    return replace(transcript, words=tuple(words))


def _spread(texts: list[str], start: float, end: float) -> Iterator[Word]:
    second = (max(end, start) - start) / sum(map(len, texts))  # of time for a letter
    for text in texts:
        end = start + second * len(text)
        yield Word(text, round(start, 3), round(end, 3), 1.0)
        start = end


def _bare(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold() or word
