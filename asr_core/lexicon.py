"""What a beam search knows: letters, words and how probable they are, ready for `search`."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from asr_core import search
from asr_core.capitals import Writer
from asr_core.decoding import Alphabet
from asr_core.errors import ModelError, OptionError
from asr_core.language_model import LanguageModel, Weights
from asr_core.ngrams import SPECIAL, UNKNOWN
from asr_core.text import (
    APOSTROPHES,
    TYPED,
    Spelling,
    favoured,
    is_turkic,
    lowered,
    normalize,
)

# A visitor's wish must stay affordable.
MOST_HOTWORDS = 200
LONGEST_HOTWORD = 50  # letters
SPELT = 0.2  # share of a language model's words that an alphabet must be able to spell
RAREST = 1e-4  # share of a token that is hardly ever heard
NO_LANGUAGE_MODEL = Weights(alpha=0.0, beta=0.0, unknown=0.0, letter=0.0)

Spellings = dict[str, tuple[int, float]]  # folded word -> its number for the n-grams, its bonus


@dataclass(frozen=True)
class Vocabulary:
    """Made once, used by any number of decoders."""

    alphabet: Alphabet
    ngrams: search.Ngrams
    lexicon: search.Lexicon
    columns: search.Columns
    weights: Weights
    begin: int  # state of the n-grams before the first word
    write: Writer  # words as people do

    @classmethod
    def of(
        cls,
        alphabet: Alphabet,
        language_model: LanguageModel | None = None,
        hotwords: Sequence[str] = (),
    ) -> Vocabulary:
        """Hotwords are words, of a phrase each of its words; those that the language model does not
        know are added.

        Where the alphabet lacks a sign in one, such as a hyphen, it is normalised.
        Raises ModelError when the language model was made for another alphabet, OptionError when a
        hotword cannot be spelt.
        """
        spelt = "".join(alphabet.tokens)
        fold = partial(
            _fold,
            dotless=is_turkic(spelt),
            eszett="ß" in spelt.lower(),
            typed=not set(spelt).isdisjoint(TYPED.values()),
        )
        letters = {c: i for i, c in enumerate(sorted({*fold(spelt)} - {" "}))}
        weights = language_model.weights if language_model else NO_LANGUAGE_MODEL
        ngrams = language_model.ngrams if language_model else _silent()
        spellings = _spellings(language_model, fold, letters) if language_model else {}
        typed = [
            _typed(hotword, fold, letters) for hotword in _affordable(favoured(" ".join(hotwords)))
        ]
        for hotword in typed:
            for word in fold(hotword).split():
                number, _ = spellings.get(word, (UNKNOWN, 0.0))
                spellings[word] = (number, weights.hotword * len(word))
        return cls(
            alphabet,
            ngrams,
            _lexicon(spellings, letters, ngrams, weights),
            _columns(alphabet, fold, letters, _rarity(alphabet, language_model)),
            weights,
            language_model.begin if language_model else search.EMPTY,
            Writer(
                alphabet,
                language_model.capitals if language_model else (),
                " ".join(typed).split(),
            ),
        )


def _spellings(
    language_model: LanguageModel, fold: Callable[[str], str], letters: dict[str, int]
) -> Spellings:
    """Those words of a language model that can be spelt. Raises ModelError where they are few."""
    folded = fold("\n".join(language_model.words)).split("\n")  # at once: there are many
    spellings = {
        word: (number, 0.0)
        for number, word in enumerate(folded[len(SPECIAL) :], len(SPECIAL))
        if letters.keys() >= set(word)
    }
    count = len(language_model.words) - len(SPECIAL)
    if len(spellings) < SPELT * count:
        raise ModelError(
            f"The language model {language_model.name} was made for another alphabet: the "
            f"model can spell only {len(spellings):,} of its {count:,} "
            "words. Build one from text in the model's language."
        )
    return spellings


def _typed(hotword: str, fold: Callable[[str], str], letters: Container[str]) -> str:
    """A hotword in words that can be spelt. Raises OptionError where there are none."""
    written = hotword
    if _missing(hotword, fold, letters):
        written = normalize(hotword, Spelling(case="keep"))
    if missing := _missing(written.replace(" ", ""), fold, letters):
        raise OptionError(
            f"The hotword '{hotword}' cannot be spelt: the model has no {', '.join(missing)}."
        )
    return written


def _affordable(hotwords: list[str]) -> list[str]:
    """The same, or OptionError: what is too much is told before any work is done."""
    if len(hotwords) > MOST_HOTWORDS:
        raise OptionError(
            f"{len(hotwords)} hotwords are too many: {MOST_HOTWORDS} can be favoured."
        )
    for hotword in hotwords:
        if len(hotword) > LONGEST_HOTWORD:
            raise OptionError(
                f"The hotword '{hotword[:LONGEST_HOTWORD]}…' is too long: at most "
                f"{LONGEST_HOTWORD} letters are possible."
            )
    return hotwords


def _missing(word: str, fold: Callable[[str], str], letters: Container[str]) -> list[str]:
    """The characters of a word that an alphabet of these letters cannot spell."""
    return [c for c in dict.fromkeys(word) if any(part not in letters for part in fold(c))]


def _fold(text: str, dotless: bool, eszett: bool, typed: bool) -> str:
    """Letters without case or place in a word; Hangul as jamo, however the alphabet writes them.

    Without `eszett`, ß is ss, as capitals have it; `typed`, jamo are as people type them.
    """
    text = lowered(text, dotless).replace("ς", "σ")
    if not eszett:
        text = text.replace("ß", "ss")
    if not text.isascii():
        text = unicodedata.normalize("NFD", text.translate(APOSTROPHES))
    return text.translate(TYPED) if typed else text


def _rarity(alphabet: Alphabet, language_model: LanguageModel | None) -> np.ndarray:
    """What is made good to each column for how seldom it is heard at all, next to the blank.

    (columns,) natural logarithms, weighed; 0 where there is nothing to make good.
    """
    heard = language_model.heard if language_model else {}
    made_good = np.zeros(len(alphabet.tokens))
    for column, token in enumerate(alphabet.tokens):
        if column != alphabet.blank and token in heard and heard.get(""):
            rarity = np.log(heard[""] / max(heard[token], RAREST))
            made_good[column] = language_model.weights.prior * rarity
    return made_good


def _columns(
    alphabet: Alphabet, fold: Callable[[str], str], letters: dict[str, int], rarity: np.ndarray
) -> search.Columns:
    """What each column of the emissions spells, by the numbers of `letters`; the blank nothing."""
    codes = [
        [search.SPACE if c == " " else letters[c] for c in fold(token)]
        if column != alphabet.blank
        else []
        for column, token in enumerate(alphabet.tokens)
    ]
    first = np.cumsum([0, *map(len, codes)]).astype(np.int32)
    spelt = np.array(list(itertools.chain(*codes)), np.int32)
    return search.Columns(spelt, first, rarity, alphabet.blank)


def _lexicon(
    spellings: Spellings,
    letters: dict[str, int],
    ngrams: search.Ngrams,
    weights: Weights,
) -> search.Lexicon:
    """The trie of all words, breadth first, with the best unigram below each node as outlook.

    The numbers of `letters` count up as their code points do, so that sorted words that begin alike
    stand side by side: each level of the trie is made of all words at once.
    """
    words = sorted(spellings)
    entries = np.array([spellings[word] for word in words], float).reshape(-1, 2)
    number, bonus = entries[:, 0].astype(np.int32), entries[:, 1].astype(np.float32)
    hope = weights.alpha * ngrams.log_probability[number].astype(np.float64)
    lengths = np.array([len(word) for word in words], int)
    spelt = np.full((len(words), lengths.max(initial=0) + 1), -1, np.int32)
    inside = np.arange(spelt.shape[1]) < lengths[:, None]
    codes = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
    spelt[inside] = np.searchsorted([ord(c) for c in letters], codes)
    shared = np.zeros(len(words), int)  # letters that a word begins with as the one before does
    if len(words) > 1:
        shared[1:] = (spelt[1:] != spelt[:-1]).argmax(axis=1)

    letter, first, entry, ahead = [np.zeros(1, np.int32)], [], [], []
    at = np.zeros(len(words), int)  # node that each word has come to
    rows = np.arange(len(words))  # of the words that go on at this depth
    for depth in range(spelt.shape[1]):
        ends = rows[lengths[rows] == depth]
        size = len(letter[-1])
        here = np.full(size, -1, np.int32)
        here[at[ends]] = ends
        outlook = np.full(size, -np.inf)
        np.maximum.at(outlook, at[rows], hope[rows])
        warmth = np.zeros(size)
        np.maximum.at(warmth, at[rows], np.where(bonus[rows] > 0, weights.hotword * depth, 0.0))
        entry.append(here)
        ahead.append(outlook + warmth)
        rows = rows[lengths[rows] > depth]
        new = np.zeros(len(words), bool)  # words that make a node of their next letter
        new[rows] = shared[rows] <= depth
        parents = at[rows[new[rows]]]
        letter.append(spelt[rows[new[rows]], depth])
        first.append(np.bincount(parents, minlength=size))
        at[rows] = np.cumsum(new[rows]) - 1
    ahead[0][:] = 0.0  # nothing is hoped for before the first letter
    return search.Lexicon(
        np.concatenate(letter).astype(np.uint16),
        (1 + np.concatenate([[0], np.cumsum(np.concatenate(first))])).astype(np.int32),
        np.concatenate(entry),
        np.concatenate(ahead).astype(np.float32),
        number,
        bonus,
        weights.alpha * float(ngrams.log_probability[UNKNOWN]) + weights.unknown,
    )


def _silent() -> search.Ngrams:
    """N-grams that say nothing: every word is as probable as any other."""
    unigrams = len(SPECIAL)
    return search.Ngrams(
        np.arange(unigrams, dtype=np.uint16),
        np.full(unigrams + 1, unigrams, np.int32),
        np.zeros(unigrams, np.float32),
        np.zeros(unigrams, np.float32),
        np.full(unigrams, search.EMPTY, np.int32),
    )
