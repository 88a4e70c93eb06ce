"""Text files -> a vocabulary, and what they say as the numbers of its words."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import logging
import lzma
import re
import unicodedata
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from asr_core.capitals import Forms
from asr_core.errors import DataError
from asr_core.ngrams import BEGIN, END, LARGEST_VOCABULARY, SPECIAL, UNKNOWN
from asr_core.text import APART, Spelling, is_turkic, normalize, parted

log = logging.getLogger(__name__)

HEAD = 10_000  # lines by which a text's language is told
PACKED = 5  # characters of Chinese, Thai and such between two spaces that are hardly one word
LONGEST_WORD = 100  # letters
RARE = 1e-4  # share of a letter that does not tell it


def read(paths: Sequence[str | Path], forms: Forms | None = None) -> Iterator[list[str]]:
    """The words of each line of text files, plain or .gz, .bz2, .xz or .zst, with a progress bar.

    What they show of capitals goes to `forms`.

    Raises DataError when a file does not exist, is not UTF-8 text, or none holds any words.
    """
    from tqdm import tqdm

    paths = [Path(path) for path in paths]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is not a file: give one or more text files.")
    spelling = _spelling(paths)
    words = 0
    total = sum(path.stat().st_size for path in paths)
    with tqdm(total=total, unit="B", unit_scale=True, desc="Reading", leave=False) as bar:
        for path in paths:
            with path.open("rb") as raw:
                before = 0
                for number, line in enumerate(_lines(path, raw)):
                    if number % 10_000 == 0:
                        bar.update(raw.tell() - before)
                        before = raw.tell()
                    if forms:
                        forms.read(line)
                    found = words_of(line, spelling)
                    words += len(found)
                    if found:
                        yield found
    if not words:
        raise DataError(f"{', '.join(path.name for path in paths)}: no words to learn from.")


def spelling_of(letters: Counter[str]) -> Spelling:
    """How words are written in a text that holds `letters`: small, as its language has it."""
    common = {c for c, count in letters.items() if count >= RARE * letters.total()}
    return Spelling(case="lower", dotless=is_turkic(common))


def _spelling(paths: Sequence[Path]) -> Spelling:
    letters: Counter[str] = Counter()
    words, parts = 0, 0
    for path in paths:
        with path.open("rb") as raw:
            for line in itertools.islice(_lines(path, raw), HEAD):
                letters.update(unicodedata.normalize("NFC", line))
                words += len(line.split())
                parts += len(line.split() if line.isascii() else list(parted(line)))
    if parts > PACKED * words:
        log.warning(
            "This text has no spaces between its words, so that whole phrases are learnt as words, "
            "which helps little: part them by spaces, as in the transcripts that a model learns."
        )
    return spelling_of(letters)


def words_of(line: str, spelling: Spelling) -> list[str]:
    """The words of `normalize(line, spelling)`; ten times as fast where all is ASCII."""
    if "<" in line:
        # What another program left out is a word that is not known, as a number is one here: the
        # words on either side were not said in a row.
        return normalize(_LEFT_OUT.sub(" 0 ", line), spelling).split()
    if spelling.dotless or not line.isascii():
        return normalize(line, spelling).split()
    plain = APART.sub(" ", line.lower().replace("`", "'"))
    return _OTHER.sub(" ", _STRAY_APOSTROPHE.sub("", plain)).split()


_LEFT_OUT = re.compile("<unk>", re.IGNORECASE)  # in WikiText and the Penn Treebank
_STRAY_APOSTROPHE = re.compile(r"(?<![a-z])'|(?<!s)'(?![a-z])")
_OTHER = re.compile(r"[^a-z0-9']+")


def _lines(path: Path, raw) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(_unpacked(path, raw), start=1):
            if b"\0" in line:
                raise ValueError("a zero byte")
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except (ValueError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        where = f"in line {number}, " if isinstance(error, ValueError) else ""
        raise DataError(
            f"{path.name} is not UTF-8 text ({where}{error}): save it as such, plain or packed as "
            ".gz, .bz2, .xz or .zst."
        ) from error


def _unpacked(path: Path, raw) -> Iterator[bytes]:
    kind = path.suffix.lower()
    if kind == ".zst":
        import pyarrow

        return io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.PythonFile(raw), "zstd"))
    library = {".gz": gzip, ".bz2": bz2, ".xz": lzma}.get(kind)
    return library.open(raw) if library else raw


def encode(
    sentences: Iterator[list[str]], size: int = LARGEST_VOCABULARY, minimum: int = 1
) -> tuple[list[str], np.ndarray]:
    """(vocabulary, tokens): the commonest words in code-point order after `SPECIAL`, and the text.

    Sentences stand between BEGIN and END in the int32 `tokens`; words that occur less than
    `minimum` times, that are not among the `size` commonest, that hold digits or are longer than
    `LONGEST_WORD` are UNKNOWN.
    """
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    for word in SPECIAL:
        numbers[word]
    stream = array("i")
    for words in sentences:
        stream.append(BEGIN)
        stream.extend([numbers[word] for word in words])
        stream.append(END)
    tokens = np.frombuffer(stream, np.int32)
    counts = np.bincount(tokens, minlength=len(numbers))
    names = np.array(list(numbers), dtype=object)
    usable = np.array([_is_word(word) for word in names])
    usable &= counts >= minimum
    usable[: len(SPECIAL)] = False
    chosen = np.flatnonzero(usable)
    chosen = chosen[np.argsort(-counts[chosen], kind="stable")][: size - len(SPECIAL)]
    if not len(chosen):
        often = f" {minimum} times: use more text or a smaller --min_count" if minimum > 1 else ""
        raise DataError(f"No word of letters alone occurs{often or ': use more text'}.")
    vocabulary = [*SPECIAL, *sorted(names[chosen])]
    place = np.full(len(names), UNKNOWN, np.int32)
    place[[numbers[word] for word in vocabulary]] = np.arange(len(vocabulary))
    return vocabulary, place[tokens]


def _is_word(text: str) -> bool:
    """Letters and apostrophes, with the marks that many languages write vowels with.

    Of `LONGEST_WORD` at most: once loaded, every word takes as much memory as the longest.
    """
    letters = text.replace("'", "")
    spelt = all(unicodedata.category(c)[0] in "LM" for c in letters)
    return letters != "" and len(text) <= LONGEST_WORD and spelt
