"""Corrections by hand: what stayed keeps its time, what is new gets a sensible one."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from asr_core.editing import edited
from asr_core.subtitles import cues
from asr_core.transcript import Transcript, Word

HEARD = Transcript(
    (
        Word("I", 0.5, 0.6, 0.9),
        Word("OWED", 1.0, 1.4, 0.4),
        Word("MY", 1.5, 1.7, 0.8),
        Word("BANK", 2.0, 2.4, 0.9),
    ),
    duration=3.0,
    source="call.wav",
)


def test_nothing_changed():
    assert edited(HEARD, HEARD.text) == HEARD


def test_case_and_punctuation_are_taken_over_without_touching_times():
    corrected = edited(HEARD, "I owed my bank.")
    assert corrected.text == "I owed my bank."
    assert [(w.start, w.end, w.confidence) for w in corrected.words] == [
        (w.start, w.end, w.confidence) for w in HEARD.words
    ]


def test_a_character_of_a_text_without_spaces_is_corrected_by_itself():
    words = (Word(c, i, i + 0.5, 0.5, space=not i) for i, c in enumerate("今日ほ晴れ"))
    heard = Transcript(tuple(words), duration=9.0)
    corrected = edited(heard, "今日は晴れ AI")
    assert corrected.text == "今日は晴れ AI"
    assert [(w.text, w.start, w.confidence) for w in corrected.words[:4]] == [
        ("今", 0, 0.5),
        ("日", 1, 0.5),
        ("は", 2, 1.0),
        ("晴", 3, 0.5),
    ]
    assert edited(corrected, "今日は晴れAI").text == "今日は晴れAI"


@pytest.mark.parametrize(("was", "corrected"), [("लड़का", "लड़की"), ("ก", "ก่"), ("كَتَبَ", "كُتِبَ")])
def test_another_vowel_sign_makes_another_word(was, corrected):
    heard = Transcript((Word(was, 0.0, 0.5, 0.3),), duration=1.0)
    assert edited(heard, corrected).words == (Word(corrected, 0.0, 0.5, 1.0),)


def test_a_replaced_word_gets_the_time_of_the_old_one_and_full_confidence():
    assert edited(HEARD, "I OWN MY BANK").words[1] == Word("OWN", 1.0, 1.4, 1.0)


def test_several_words_for_one_share_its_time_by_length():
    first, second = edited(HEARD, "I OH WED MY BANK").words[1:3]
    assert (first.start, first.end) == (1.0, 1.16)
    assert (second.start, second.end) == (1.16, 1.4)


def test_an_inserted_word_fills_the_pause():
    assert edited(HEARD, "I OWED MY OLD BANK").words[3] == Word("OLD", 1.7, 2.0, 1.0)


def test_words_at_both_ends_stay_within_the_recording():
    words = edited(HEARD, "WELL I OWED MY BANK MONEY").words
    assert words[0] == Word("WELL", 0.0, 0.5, 1.0)
    assert words[-1] == Word("MONEY", 2.4, 3.0, 1.0)


@pytest.mark.parametrize("text", ["", "  \n ", "I BANK", "completely other words and more of them"])
def test_whatever_is_written_is_what_is_kept_in_order(text):
    words = edited(HEARD, text).words
    assert " ".join(word.text for word in words) == " ".join(text.split())
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0 <= time <= HEARD.duration for time in times)


@pytest.mark.parametrize("place", [0, 10, 20])
def test_a_sentence_where_there_is_no_pause_can_still_be_read(place):
    times = [round(0.4 * i, 1) for i in range(21)]
    heard = [Word(f"WORD{i}", times[i], times[i + 1], 0.9) for i in range(20)]
    transcript = Transcript(tuple(heard), 8.0)
    missed = "and here comes what nobody heard".split()
    said = transcript.text.split()
    words = edited(transcript, " ".join(said[:place] + missed + said[place:])).words
    assert [word.text for word in words[place : place + 6]] == missed
    assert all(word.end - word.start > 0.049 * len(word.text) for word in words)
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times) and times[-1] <= 8.0
    far = [word for word in words if word.text == ("WORD0" if place else "WORD19")]
    assert far[0] in heard  # who is not near keeps its time
    for cue in cues(replace(transcript, words=words)):
        assert cue.end - cue.start >= 400


def test_a_word_that_is_a_little_too_long_takes_no_more_than_it_lacks():
    go, the, end = Word("GO", 0, 0.3, 0.8), Word("THE", 10.3, 10.5, 0.8), Word("END", 10.5, 11, 0.8)
    pause = Transcript((go, the, end), 12)
    assert edited(pause, "GO THEY END").words == (go, Word("THEY", 10.3, 10.5, 1.0), end)
    assert edited(pause, "GO THROUGH END").words == (go, Word("THROUGH", 10.15, 10.5, 1.0), end)
    # Where nothing is free, from neighbours, and not from all of their time.
    tight = Transcript((replace(go, start=10.0, end=10.3), the, end), 12)
    before, new, after = edited(tight, "GO THROUGH END").words
    assert (before.start, before.end) == (10.0, new.start) and before.end >= 10.1
    assert (after.start, after.end) == (new.end, 11) and new.end - new.start == pytest.approx(0.35)


def test_a_short_neighbour_moves_into_the_pause_beyond_it():
    heard = (Word("A", 5.0, 5.04, 0.8), Word("B", 5.04, 5.1, 0.8))
    words = edited(Transcript(heard, 5.1), "A BETTER").words
    assert words == (Word("A", 4.76, 4.8, 0.8), Word("BETTER", 4.8, 5.1, 1.0))


def test_more_words_than_there_was_time_for_stay_within_the_recording():
    words = edited(Transcript((Word("BB", 0.0, 0.1, 0.9),), 0.1), "new NO x").words
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= 0.1


def test_a_word_said_again_and_again_is_corrected_at_once():
    many = Transcript(tuple(Word("NO", float(i), i + 0.5, 0.9) for i in range(3_000)), 3_000.0)
    corrected = " ".join("yes" if i % 3 else "no" for i in range(3_000))
    assert edited(many, corrected).text == corrected


@pytest.mark.parametrize("seconds", [3.0, 3_000.0])
def test_thousands_of_words_for_others_are_taken_at_once(seconds):
    heard = tuple(Word(f"{i}", i / 4_000, (i + 1) / 4_000, 0.9) for i in range(4_000))
    corrected = " ".join(f"{i} new {i}{i}" for i in range(4_000))
    began = time.monotonic()
    words = edited(Transcript(heard, seconds), corrected).words
    assert time.monotonic() - began < 5
    times = [at for word in words for at in (word.start, word.end)]
    assert times == sorted(times) and times[-1] <= seconds


def test_what_is_written_at_several_places_finds_its_time_at_each():
    heard = (Word("SO", 0.0, 0.1, 0.9), Word("IT", 0.1, 0.2, 0.9), Word("IS", 0.2, 0.3, 0.9))
    words = edited(Transcript(heard, 1.0), "SO OLD IT NEW IS").words
    assert [word.end - word.start for word in words] == pytest.approx([0.1, 0.15, 0.1, 0.15, 0.1])


def test_one_word_corrected_among_many_alike_leaves_the_others_their_times():
    said = random.Random(0).choices("ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE".split(), k=250)
    heard = tuple(Word(text, float(i), i + 0.5, 0.9) for i, text in enumerate(said))
    corrected = [*said[:125], "OH", *said[126:]]
    words = edited(Transcript(heard, 250.0), " ".join(corrected)).words
    assert words == (*heard[:125], Word("OH", 125.0, 125.5, 1.0), *heard[126:])


def test_words_for_as_many_take_over_their_times_one_for_one():
    words = edited(HEARD, "I OWN THAT BANK").words
    assert words[1:3] == (Word("OWN", 1.0, 1.4, 1.0), Word("THAT", 1.5, 1.7, 1.0))
    assert (words[0], words[3]) == (HEARD.words[0], HEARD.words[3])


def test_two_words_made_one_get_the_time_of_both():
    assert edited(HEARD, "I OWEDMY BANK").words[1] == Word("OWEDMY", 1.0, 1.7, 1.0)


def test_words_where_none_were_heard():
    silent = Transcript((), 4.0)
    assert edited(silent, "hello there").words[-1].end == 4.0
