"""Capitals: words as people write them, for models that spell in capitals or in small letters only.

A text shows how words are written where no sentence begins: "I", "Japan", in German "Haus".
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from asr_core.decoding import Alphabet
from asr_core.text import APOSTROPHES, is_turkic, lowered

LETTER = r"[^\W\d_]"
FIRST = re.compile(LETTER)
# Words behind others and no sign but a comma, as any other may end a sentence.
WITHIN = re.compile(rf"(?:(?<={LETTER} )|(?<={LETTER}, )){LETTER}+(?:'{LETTER}+)*")


class Forms:
    """How often each word is written how."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def read(self, line: str, times: int = 1) -> None:
        """One or more sentences. Of a line that begins small, nothing is known of its capitals."""
        if not line.isascii():
            line = unicodedata.normalize("NFC", line).translate(APOSTROPHES)
        first = FIRST.search(line)
        if first and first[0].isupper() and not line.isupper():
            self._counts.update(WITHIN.findall(line) * times)

    def capitals(self, words: Iterable[str], dotless: bool = False) -> list[str]:
        """Those of `words`, in small letters, that are mostly written with capitals; so written."""
        best: dict[str, str] = {}
        for form, _ in sorted(self._counts.items(), key=lambda item: (item[1], item[0])):
            best[lowered(form, dotless)] = form
        return [best[word] for word in words if best.get(word, word) != word]


class Writer:
    """Writes what `alphabet` spells in one case as `forms` have it, and other words small.

    An alphabet with both cases, or none, is written as it is, and so is all where there are no
    forms.
    """

    def __init__(self, alphabet: Alphabet, forms: Iterable[str], hotwords: Iterable[str]) -> None:
        spelt = "".join(alphabet.tokens)
        self._dotless = is_turkic(spelt)
        cases = {c.isupper() for c in spelt if c.isupper() or c.islower()}
        self._forms = {self._small(form): form for form in forms} if len(cases) == 1 else {}
        if self._forms:  # or what is typed would stand out among words in another case
            typed = [word.translate(APOSTROPHES) for word in hotwords]
            self._forms |= {self._small(word): word for word in typed if word != self._small(word)}

    def __call__(self, word: str) -> str:
        if not self._forms:
            return word
        small = self._small(word)
        name, apostrophe, ending = small.rpartition("'")
        if small in self._forms or not name:
            return self._forms.get(small, small)
        return self._forms.get(name, name) + apostrophe + ending

    def _small(self, word: str) -> str:
        return lowered(word, self._dotless)
