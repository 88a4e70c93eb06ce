"""Emissions become words: the right letters, at the right time, however they come in."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest

from asr_core.beam import BeamDecoder
from asr_core.decoding import Alphabet, GreedyDecoder, end_words
from asr_core.lexicon import Vocabulary
from asr_core.text import favoured
from asr_core.transcript import joined

FRAME = 0.02
ALPHABET = Alphabet(("", "", " ", "A", "B", "C", "'"), blank=0)
COLUMNS = {"-": 0, "?": 1, "|": 2, "A": 3, "B": 4, "C": 5, "'": 6}


def emissions(path: str, probability: float = 0.9) -> np.ndarray:
    """Log-probabilities whose best path is `path`: one frame each letter, "-" is the blank."""
    rest = math.log((1 - probability) / (len(COLUMNS) - 1))
    made = np.full((len(path), len(COLUMNS)), rest, np.float32)
    for frame, letter in enumerate(path):
        made[frame, COLUMNS[letter]] = math.log(probability)
    return made


def decode(*pieces: np.ndarray):
    decoder = GreedyDecoder(ALPHABET, FRAME)
    for piece in pieces:
        decoder.feed(piece)
    return decoder.finish()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("", ""),
        ("----", ""),
        ("||-|", ""),
        ("AAAB", "AB"),
        ("A-A", "AA"),
        ("AA--A|B", "AA B"),
        ("|A|", "A"),
        ("-A|-|B-", "A B"),
        ("A'B|C", "A'B C"),
        ("A?B", "AB"),  # a special token is not written
        ("A?A", "AA"),
    ],
)
def test_repeats_merge_and_blanks_separate(path, text):
    assert " ".join(word.text for word in decode(emissions(path))) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "ABCA'B"), (1.0, "ABC A'B"), (30, "ABC A'B")])
@pytest.mark.parametrize("before", ["", "|"])
def test_a_pause_ends_a_word(seconds, text, before):
    pause = before + "-" * (round(seconds / FRAME) - len(before))
    heard = emissions("A-BC" + pause + "A'B")
    end_words(heard, ALPHABET, FRAME)
    first, *others = decode(heard)
    assert " ".join(word.text for word in (first, *others)) == (text if not before else "ABC A'B")
    if others:
        assert (first.end, others[0].start) == (0.08, pytest.approx(0.08 + seconds))


def test_without_a_sign_between_words_none_is_put_into_a_pause():
    pieces = Alphabet(("", " A", "B"), blank=0)
    heard = np.log(np.full((100, 3), [0.8, 0.1, 0.1], np.float32))
    before = heard.copy()
    end_words(heard, pieces, FRAME)
    assert (heard == before).all()


def test_a_word_lasts_from_its_first_letter_to_the_end_of_its_last():
    (first, second) = decode(emissions("--AA-BB---|--C--"))
    assert (first.start, first.end) == (0.04, 0.14)
    assert (second.start, second.end) == (0.26, 0.28)


def test_confidence_is_the_geometric_mean_of_the_letters():
    path = np.concatenate([emissions("AA", 0.5), emissions("B", 0.9), emissions("-", 0.99)])
    (word,) = decode(path)
    assert word.confidence == pytest.approx(math.sqrt(0.5 * 0.9), abs=1e-4)


def test_a_letter_is_as_sure_as_its_surest_frame():
    (word,) = decode(np.concatenate([emissions("A", 0.4), emissions("A", 0.8)]))
    assert word.confidence == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_it_does_not_matter_where_the_emissions_are_cut(seed):
    draw = random.Random(seed)
    path = "".join(draw.choice("--?||AABC'") * draw.choice([1, 2, 5]) for _ in range(60))
    whole = emissions(path) + np.random.default_rng(seed).normal(0, 0.1, (len(path), 7))
    whole = (whole - np.log(np.exp(whole).sum(axis=1, keepdims=True))).astype(np.float32)
    cuts = sorted(draw.sample(range(len(path) + 1), 10))
    assert decode(*np.split(whole, cuts)) == decode(whole)
    assert all(0 <= word.confidence <= 1 for word in decode(whole))


def test_words_so_far_grow_and_settled_ones_stay():
    decoder = GreedyDecoder(ALPHABET, FRAME)
    settled, shown = [], []
    for letter in "A-A|B-|-CC-":
        decoder.feed(emissions(letter))
        settled.append(decoder.settled())
        shown.append(" ".join(word.text for word in decoder.words()))
    assert all(after[: len(before)] == before for before, after in pairwise(settled))
    assert shown[:5] == ["A", "A", "AA", "AA", "AA B"]
    assert [word.text for word in settled[-1]] == ["AA", "B"]
    assert decoder.finish()[: len(settled[-1])] == settled[-1]


def test_looking_ahead_with_a_fork_leaves_the_decoder_as_it_was():
    decoder, untouched = GreedyDecoder(ALPHABET, FRAME), GreedyDecoder(ALPHABET, FRAME)
    for one in (decoder, untouched):
        one.feed(emissions("AB|A"))
    fork = decoder.fork()
    fork.feed(emissions("AC|B"))
    assert [word.text for word in fork.finish()] == ["AB", "AC", "B"]
    for one in (decoder, untouched):
        one.feed(emissions("B|"))
    assert decoder.finish() == untouched.finish()


class Tokenizer:
    all_special_ids = (0, 1)
    pad_token_id = 0

    def __init__(self, vocabulary: dict[str, int], delimiter: str | None = None) -> None:
        self.vocabulary = vocabulary
        if delimiter:
            self.word_delimiter_token = delimiter

    def get_vocab(self) -> dict[str, int]:
        return self.vocabulary


def test_an_alphabet_of_characters():
    tokenizer = Tokenizer({"<pad>": 0, "<unk>": 1, "|": 2, "A": 3, "extra": 9}, delimiter="|")
    alphabet = Alphabet.of(tokenizer, 5)  # the model has a column more than the tokenizer knows
    assert alphabet == Alphabet(("", "", " ", "A", ""), blank=0)


def test_an_alphabet_of_pieces_of_words():
    tokenizer = Tokenizer({"<pad>": 0, "<unk>": 1, "▁HE": 2, "LLO": 3, "▁": 4})
    decoder = GreedyDecoder(Alphabet.of(tokenizer, 5), FRAME)
    decoder.feed(np.log(np.eye(5)[[2, 3, 0, 4, 3, 2]] * 0.9 + 0.01))
    assert [word.text for word in decoder.finish()] == ["HELLO", "LLO", "HE"]


def test_characters_of_a_script_without_spaces_are_words_with_times_of_their_own():
    alphabet = Alphabet(("", " ", *"今日はャキA"), blank=0)
    path = [2, 0, 0, 3, 3, 0, 4, 1, 0, 6, 5, 7, 7]
    heard = np.full((len(path), len(alphabet.tokens)), -9.0, np.float32)
    heard[np.arange(len(path)), path] = -0.1
    greedy = GreedyDecoder(alphabet, FRAME)
    for piece in np.split(heard, [1, 5]):
        greedy.feed(piece)
    beams = BeamDecoder(Vocabulary.of(alphabet, None, favoured("A")), FRAME)
    beams.feed(heard)
    for words in greedy.finish(), beams.finish():
        assert [word.text for word in words] == ["今", "日", "は", "キャ", "A"]
        assert joined(words) == "今日は キャA"
        assert [round(word.start / FRAME) for word in words] == [0, 3, 6, 9, 11]
        assert [round(word.end / FRAME) for word in words] == [1, 5, 7, 11, 13]
