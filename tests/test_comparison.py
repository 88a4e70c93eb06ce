"""What was heard beside what was said: rates as jiwer counts them, every error in its place."""

from __future__ import annotations

import re
import unicodedata

import pytest

from asr_core.comparison import compare, markup
from asr_core.errors import DataError


def test_every_kind_of_error_is_told_apart():
    compared = compare("please pay my last bill", "please say last bill now")
    assert compared.pairs == (
        ("equal", "please", "please"),
        ("substitute", "pay", "say"),
        ("delete", "my", ""),
        ("equal", "last", "last"),
        ("equal", "bill", "bill"),
        ("insert", "", "now"),
    )
    assert compared.wer == 3 / 5
    assert [compared.count(kind) for kind in ("substitute", "delete", "insert")] == [1, 1, 1]


def test_case_and_punctuation_do_not_count():
    compared = compare("It’s mine, isn't it?", "IT'S MINE ISN'T IT")
    assert (compared.wer, compared.cer) == (0.0, 0.0)
    assert compare("Straße", "STRASSE").wer == 0.0


def test_letters_count_for_less_than_words():
    compared = compare("balance", "balances")
    assert compared.wer == 1.0
    assert compared.cer == pytest.approx(1 / 7)


def test_nothing_heard():
    compared = compare("hello there", "")
    assert (compared.wer, compared.count("delete")) == (1.0, 2)


@pytest.mark.parametrize("said", ["", "  ", "?!"])
def test_nothing_to_compare_with(said):
    with pytest.raises(DataError, match="what was really said"):
        compare(said, "HELLO")


@pytest.mark.parametrize(
    "said",
    ["pay now " * 30_000, "x" * 200_000, "ﷺ" * 12_000, "㌀" * 60_000],
    ids=["words", "letters", "signs that are a sentence", "signs that are a word"],
)
def test_more_than_can_be_compared_in_a_moment(said):
    with pytest.raises(DataError, match="at most 200,000 are possible"):
        compare(said, "pay now")


def test_korean():
    assert compare("안녕하세요 여러분", "안녕하세요 여러붕").wer == 0.5


def test_markup_shows_both_words_and_names_the_error():
    html = markup(compare("pay now", "say now"))
    assert '<span class="pair substitute" title="wrong: said above, heard below">' in html
    assert "<del>pay</del>" in html and "<ins>say</ins></span>" in html
    assert "Above what was said" in html
    assert "Above" not in markup(compare("pay now", "pay now"))


@pytest.mark.parametrize(
    "said, heard, read",
    [
        ("pay now", "say now", "pay heard as say now"),
        ("pay it now", "pay now", "pay it missed now"),
        ("pay now", "pay it now", "pay made up it now"),
    ],
)
def test_a_screen_reader_says_what_is_wrong(said, heard, read):
    html = markup(compare(said, heard)).split("<p")[0]
    html = re.sub(r"<(\w+) aria-hidden.*?</\1>", "", html)
    assert " ".join(re.sub("<.*?>", "", html).split()) == read


def test_vowel_signs_are_part_of_words():
    compared = compare("मैं घर जाता हूँ", "मां घर जाती हूं")
    assert compared.wer == 3 / 4


def test_the_same_words_written_apart_are_the_same():
    for said in ("café", "안녕하세요 여러분"):
        assert compare(unicodedata.normalize("NFD", said), said).wer == 0.0


@pytest.mark.parametrize(
    "heard", ["ışık istanbul", "IŞIK İSTANBUL", "işik istanbul", "Işık İstanbul".lower()]
)
def test_turkish_letters_i_are_alike_in_any_case(heard):
    compared = compare("Işık İstanbul", heard)
    assert (compared.wer, compared.cer) == (0.0, 0.0)
    assert compare(heard, "IŞIK İSTANBUL").wer == 0.0
    assert compare("ılık", "ılık").pairs == (("equal", "ılık", "ılık"),)  # shown as it was
