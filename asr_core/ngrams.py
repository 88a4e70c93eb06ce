"""Text -> n-grams: counted, smoothed, pruned to a size, with numpy and no more memory than needed.

Interpolated modified Kneser-Ney (Chen & Goodman, 1998, https://dash.harvard.edu/handle/1/25104739)
as `lmplz` of kenlm computes it, then the weighted difference pruning of Seymore & Rosenfeld (1996):
what goes is what the shorter context says almost as well.

A `Level` holds all n-grams of one order in the order of (parent, word), where the parent is the
n-gram without its last word: the layout that `search.Ngrams` is read in.
"""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import logging
import lzma
import math
import re
import unicodedata
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_core.errors import DataError, OptionError
from asr_core.text import APART, Spelling, is_turkic, normalize, parted

log = logging.getLogger(__name__)

BEGIN, END, UNKNOWN = 0, 1, 2  # the first words of every vocabulary
SPECIAL = ("<s>", "</s>", "<unk>")
ORDERS = range(1, 7)
LARGEST_VOCABULARY = 65_536  # words, `SPECIAL` among them: numbers of two bytes
LONGEST = 100  # letters of a word
CHUNK = 1 << 22  # tokens counted at a time
HEAD = 10_000  # lines by which a text's language is told
PACKED = 5  # characters of Chinese, Thai and such between two spaces that are hardly one word
RARE = 1e-4  # share of a letter that does not tell it


@dataclass
class Level:
    """All n-grams of one order; arrays of shape (n-grams,)."""

    word: np.ndarray  # last word
    parent: np.ndarray  # in the level below: without the last word
    suffix: np.ndarray  # in the level below: without the first word
    count: np.ndarray  # times it occurs in the text
    probability: np.ndarray | None = None  # of the last word after the others
    backoff: np.ndarray | None = None  # probability left to words that do not follow here


def check(order: int, megabytes: float, vocabulary: int) -> None:
    """Raises OptionError where no such n-grams can be made: before the work and not after it."""
    if order not in ORDERS:
        raise OptionError(
            f"--order {order} is not possible: give {ORDERS.start} to {ORDERS.stop - 1}."
        )
    if not 0 < megabytes < math.inf:
        raise OptionError(f"--size {megabytes:g} holds nothing: give megabytes, as in 100.")
    if vocabulary <= len(SPECIAL):
        least = len(SPECIAL) + 1
        raise OptionError(f"--vocabulary {vocabulary} is too small: give at least {least}.")


def read(paths: Sequence[str | Path]) -> Iterator[list[str]]:
    """The words of each line of text files, plain or .gz, .bz2, .xz or .zst, with a progress bar.

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
    `LONGEST` are UNKNOWN.
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

    Of `LONGEST` at most: once loaded, every word takes as much memory as the longest.
    """
    letters = text.replace("'", "")
    spelt = all(unicodedata.category(c)[0] in "LM" for c in letters)
    return letters != "" and len(text) <= LONGEST and spelt


def count(tokens: np.ndarray, words: int, order: int) -> list[Level]:
    """Levels 1 to `order` of the n-grams in `tokens`, a text over `words` words."""
    nothing = np.full(words, -1, np.int64)
    levels = [Level(np.arange(words), nothing, nothing, np.bincount(tokens, minlength=words))]
    places = tokens  # of the n-gram that starts at each token, in the level below
    for length in range(2, order + 1):
        places = places[:-1]
        following = tokens[length - 1 :]
        keys, counts = _distinct(_keys(places, following, words), len(following))
        below = levels[-1]
        parent, word = np.divmod(keys, words)
        if length == 2:
            suffix = word
        else:
            shorter = below.parent * words + below.word
            suffix = np.searchsorted(shorter, below.suffix[parent] * words + word)
        levels.append(Level(word, parent, suffix, counts))
        if length < order:
            numbered = np.full(len(following), -1, np.int32)
            for start, chunk, valid in _keys(places, following, words):
                numbered[start + np.flatnonzero(valid)] = np.searchsorted(keys, chunk)
            places = numbered
    return levels


def _keys(places: np.ndarray, following: np.ndarray, words: int) -> Iterator[tuple]:
    """(start, keys, valid) chunk by chunk; no n-gram goes on from one sentence into the next."""
    for start in range(0, len(following), CHUNK):
        place, word = places[start : start + CHUNK], following[start : start + CHUNK]
        valid = (place >= 0) & (word != BEGIN)
        yield start, place[valid].astype(np.int64) * words + word[valid], valid


def _distinct(chunks: Iterator[tuple], total: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted keys and how often each occurs, merged whenever as much again has come in."""
    from tqdm import tqdm

    runs = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]  # a text may be too short for any
    with tqdm(total=total, unit=" tokens", unit_scale=True, desc="Counting", leave=False) as bar:
        for _, keys, valid in chunks:
            runs.append(np.unique(keys, return_counts=True))
            bar.update(len(valid))
            if len(runs) > 1 and sum(len(keys) for keys, _ in runs[1:]) > len(runs[0][0]):
                runs = [_merge(runs)]
    return _merge(runs)


def _merge(runs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    keys = np.concatenate([keys for keys, _ in runs])
    counts = np.concatenate([counts for _, counts in runs])
    order = np.argsort(keys, kind="stable")  # merges sorted runs in linear time
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    return keys[first], np.add.reduceat(counts, first) if len(first) else counts


def smooth(levels: list[Level]) -> None:
    """Fill in `probability` and `backoff` of all levels."""
    begins = np.zeros(len(levels[0].word), bool)
    begins[BEGIN] = True
    for index, level in enumerate(levels):
        # Kneser-Ney: below the highest order, what counts is how many different words precede.
        adjusted = level.count
        if index:
            begins = begins[level.parent]
        if index + 1 < len(levels):
            preceding = np.bincount(levels[index + 1].suffix, minlength=len(level.word))
            adjusted = np.where(begins, level.count, preceding)
        if not index:
            adjusted = adjusted.copy()
            adjusted[BEGIN] = 0
        discount = _discounts(adjusted)[np.minimum(adjusted, 3)]
        level.backoff = np.ones(len(level.word))
        if not index:
            total = adjusted.sum()
            left = discount.sum() / total
            level.probability = (adjusted - discount) / total + left / (len(adjusted) - 1)
            level.probability[BEGIN] = 0.0
            continue
        below = levels[index - 1]
        total = np.bincount(level.parent, adjusted, len(below.word))
        left = np.bincount(level.parent, discount, len(below.word)) / np.maximum(total, 1)
        below.backoff = np.where(total > 0, left, 1.0)
        level.probability = (adjusted - discount) / total[level.parent] + below.backoff[
            level.parent
        ] * below.probability[level.suffix]


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from n-grams that occur 0, 1, 2 and more times."""
    n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=6)[1:5]
    if not (n1 and n2 and n3 and n4):
        return np.array([0.0, 0.5, 1.0, 1.5])  # lmplz's fallback for very little text
    y = n1 / (n1 + 2 * n2)
    found = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return np.clip(found, [0.0, 0.1, 0.1, 0.1], [0.0, 1.0, 2.0, 3.0])  # never nothing left over


def prune(levels: list[Level], room: int) -> list[Level]:
    """The levels with the most telling n-grams, in at most `room` bytes once packed.

    Unigrams all stay. Raises OptionError when not even they fit.
    """
    gains = [
        level.count
        * np.log(
            level.probability / (below.backoff[level.parent] * below.probability[level.suffix])
        )
        for below, level in itertools.pairwise(levels)
    ]
    keep = _kept(levels, gains, -np.inf)
    if packed_size(levels, keep) > room:
        low, high = 0.0, max((float(gain.max(initial=0.0)) for gain in gains), default=0.0) + 1.0
        for _ in range(24):
            middle = (low * high) ** 0.5 if low else high / 1000
            if packed_size(levels, _kept(levels, gains, middle)) > room:
                low = middle
            else:
                high = middle
        keep = _kept(levels, gains, high)
    if packed_size(levels, keep) > room:
        words = len(levels[0].word) - len(SPECIAL)
        raise OptionError(
            f"--size {room / 1e6:g} does not hold the vocabulary of {words:,} words: allow more "
            "megabytes, or fewer words with --vocabulary."
        )
    return _select(levels, keep)


def _kept(levels: list[Level], gains: list[np.ndarray], threshold: float) -> list[np.ndarray]:
    """Masks of the n-grams worth more than `threshold`, and of all that those stand on."""
    keep = [np.ones(len(levels[0].word), bool), *(gain > threshold for gain in gains)]
    for index in range(len(levels) - 1, 1, -1):
        level, kept = levels[index], keep[index]
        keep[index - 1][level.parent[kept]] = True
        keep[index - 1][level.suffix[kept]] = True
    return keep


def packed_size(levels: list[Level], keep: list[np.ndarray]) -> int:
    """Bytes: word, probability, and below the highest order backoff and number of children.

    A word of the vocabulary is taken to be spelt with nine letters.
    """
    number = 2 if len(levels[0].word) <= LARGEST_VOCABULARY else 4
    sizes = [int(mask.sum()) for mask in keep]
    return sum(sizes) * (number + 1) + sum(sizes[:-1]) * 3 + 10 * sizes[0]


def _select(levels: list[Level], keep: list[np.ndarray]) -> list[Level]:
    kept = [
        Level(
            level.word[mask],
            level.parent[mask],
            level.suffix[mask],
            level.count[mask],
            level.probability[mask],
            level.backoff[mask],
        )
        for level, mask in zip(levels, keep, strict=True)
    ]
    for index in range(1, len(kept)):
        level, below = kept[index], kept[index - 1]
        place = np.cumsum(keep[index - 1]) - 1
        level.parent, level.suffix = place[level.parent], place[level.suffix]
        said = np.bincount(level.parent, level.probability, len(below.word))
        else_said = np.bincount(level.parent, below.probability[level.suffix], len(below.word))
        left = np.maximum(1 - said, 1e-6) / np.maximum(1 - else_said, 1e-6)
        below.backoff = np.where(said > 0, left, 1.0)
    return kept
