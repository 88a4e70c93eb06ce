"""Words are written as people write them, where a text shows how."""

from __future__ import annotations

import numpy as np
import pytest

from asr_core import language_model_sources
from asr_core.beam import BeamDecoder
from asr_core.capitals import Forms, Writer
from asr_core.decoding import Alphabet
from asr_core.language_model import LanguageModel
from asr_core.lexicon import Vocabulary
from asr_core.transcript import joined

ALPHABET = Alphabet(("", " ", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"), blank=0)
TEXT = """\
Will I pay in Japan, or in the US? The bank, I'm told, takes yen.
In Japan the PIN is short. Japan is far.
"The" is a word. March with me in March, and in March, and march no more.
it is all the same to japan and to japan and to japan
SO LOUD IS THIS BANK THAT THE BANK IS A BANK
Die Bank is a bank; Bank it at the bank.
"""


def capitals(text: str, *words: str) -> list[str]:
    forms = Forms()
    for line in text.splitlines():
        forms.read(line)
    return forms.capitals(words)


def heard(text: str, model: LanguageModel, alphabet=ALPHABET, hotwords=()) -> str:
    """What is written of one letter a frame."""
    emissions = np.full((len(text) * 2, len(alphabet.tokens)), np.log(1e-4), np.float32)
    emissions[1::2, 0] = 0.0
    for place, letter in enumerate(text):
        emissions[2 * place, alphabet.tokens.index(letter)] = 0.0
    decoder = BeamDecoder(Vocabulary.of(alphabet, model, hotwords), 0.02)
    decoder.feed(emissions)
    return joined(decoder.finish())


@pytest.fixture
def model(tmp_path) -> LanguageModel:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    return language_model_sources.build([text], tmp_path / "lm", order=2)


def test_only_the_middle_of_sentences_counts():
    known = ("i", "i'm", "japan", "us", "pin", "the", "bank", "march", "will", "so")
    assert capitals(TEXT, *known) == ["I", "I'm", "Japan", "US", "PIN", "March"]


def test_a_line_in_capitals_shows_none():
    assert capitals("SO LOUD IS THIS BANK", "loud", "bank") == []


def test_the_nouns_of_german_and_curly_apostrophes():
    assert capitals("Ich gehe ins Haus, weil I’m müde bin.", "haus", "müde", "i'm") == [
        "Haus",
        "I'm",
    ]


def test_the_small_letter_of_i_in_turkish():
    forms = Forms()
    forms.read("Bugün Iğdır ve İzmir güzel.")
    assert forms.capitals(["ığdır", "izmir"], dotless=True) == ["Iğdır", "İzmir"]


def test_what_is_decoded_is_written_as_the_text_has_it(model):
    assert heard("WILL I PAY IN JAPAN", model) == "will I pay in Japan"
    assert heard("JAPAN'S BANK QUIXOT", model) == "Japan's bank quixot"  # unknown words


def test_so_is_what_a_model_spells_in_small_letters(model):
    small = Alphabet(tuple(token.lower() for token in ALPHABET.tokens), blank=0)
    assert heard("i'm in japan", model, small) == "I'm in Japan"


def test_hotwords_are_written_as_they_are_typed(model):
    typed = ["MInDS", "japan", "Jean-Luc"]
    assert heard("PAY MINDS IN JAPAN JEAN", model, hotwords=typed) == "pay MInDS in Japan Jean"


def test_a_text_in_one_case_leaves_words_as_they_are_spelt(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(TEXT.lower())
    model = language_model_sources.build([text], tmp_path / "lm", order=2)
    assert model.capitals == ()
    assert heard("I PAY IN JAPAN", model, hotwords=["MInDS"]) == "I PAY IN JAPAN"


def test_an_alphabet_of_both_cases_knows_better():
    both = Alphabet(("", " ", *"abcABC"), blank=0)
    assert Writer(both, ["Abba"], ["ABC"])("aBBa") == "aBBa"
    assert Writer(ALPHABET, ["Abba"], ["ABC"])("ABBA") == "Abba"


def test_the_embedded_model_does_not_shout():
    model = language_model_sources.find("embedded")
    said = heard("I'M FROM JAPAN AND I LOST MY VISA CARD ON MONDAY", model)
    assert said == "I'm from Japan and I lost my Visa card on Monday"
