"""Files that players and spreadsheets read: right times, readable lines, nothing lost."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from dataclasses import replace
from itertools import pairwise

import pytest

from asr_core.errors import OptionError
from asr_core.subtitles import FORMATS, LINE, cues, render
from asr_core.transcript import Transcript, Word


def spoken(*words: tuple[str, float, float], duration: float) -> Transcript:
    return Transcript(tuple(Word(t, s, e, 0.9) for t, s, e in words), duration, "talk.wav")


def chatter(seed: int, duration: float = 4000.0) -> Transcript:
    """Words of 1 to 60 letters, at a pace from breathless to halting, up to the very end."""
    draw, words, now = random.Random(seed), [], 0.0
    while now < duration:
        end = min(duration, now + draw.choice([0.02, 0.2, 0.5, 3.0]))
        words.append(Word("x" * draw.choice([1, 3, 5, 8, 60]), now, end, 0.5))
        now = end + draw.choice([0.0, 0.02, 0.3, 5.0])
    return Transcript(tuple(words), duration)


@pytest.mark.parametrize(
    ("seconds", "srt", "vtt"),
    [
        (0.0, "00:00:00,000", "00:00:00.000"),
        (59.9995, "00:01:00,000", "00:01:00.000"),
        (3599.9996, "01:00:00,000", "01:00:00.000"),
        (3661.5, "01:01:01,500", "01:01:01.500"),
        (360000.25, "100:00:00,250", "100:00:00.250"),
    ],
)
def test_times_carry_over_minutes_and_hours(seconds, srt, vtt):
    talk = spoken(("HELLO", seconds, seconds + 0.5), duration=seconds + 9)
    assert f"{srt} --> " in render(talk, "srt")
    assert f"{vtt} --> " in render(talk, "vtt")


@pytest.mark.parametrize("seed", range(5))
def test_cues_are_readable_apart_and_within_the_recording(seed):
    talk = chatter(seed)
    shown = cues(talk)
    assert all(len(line) <= LINE for cue in shown for line in cue.lines)
    assert all(1 <= len(cue.lines) <= 2 for cue in shown)
    assert all(cue.start < cue.end <= cue.start + 7000 for cue in shown)
    assert all(one.end <= two.start for one, two in pairwise(shown))
    assert shown[0].start >= 0
    assert shown[-1].end <= talk.duration * 1000
    letters = "".join("".join(cue.lines) for cue in shown).replace(" ", "")
    assert letters == talk.text.replace(" ", "")


def test_a_short_word_stays_long_enough_to_be_read():
    talk = spoken(("YES", 1.0, 1.1), ("NO", 10.0, 10.1), duration=10.3)
    first, second = cues(talk)
    assert first.end - first.start >= 1000
    assert second.end == 10300  # the recording ends before its second is over


def test_a_pause_begins_a_new_cue():
    talk = spoken(("ONE", 0.0, 0.4), ("TWO", 0.5, 0.9), ("THREE", 3.0, 3.4), duration=5)
    assert [cue.lines for cue in cues(talk)] == [("ONE TWO",), ("THREE",)]


def test_slow_speech_is_on_the_screen_while_it_is_spoken():
    talk = spoken(*(("WORD", i * 0.9, i * 0.9 + 0.5) for i in range(12)), duration=12)
    times = [(cue.start, cue.end) for cue in cues(talk)]
    for word in talk.words:
        assert any(start <= 1000 * word.start < 1000 * word.end <= end for start, end in times)


def test_a_word_that_does_not_end_leaves_the_screen_after_a_while():
    (cue,) = cues(spoken(("AAAH", 1.0, 12.0), duration=20))
    assert (cue.start, cue.end) == (1000, 8000)


def test_no_cue_begins_before_the_recording_or_ends_after_it():
    (cue,) = cues(spoken(("YES", 0.5, 1.2009), duration=1.2009))
    assert cue.end <= 1200.9
    crowded = spoken(("x" * 90, 0.0, 0.0004), ("y", 0.0004, 0.5), duration=1)
    assert all(cue.start >= 0 for cue in cues(crowded))
    later = spoken(("x" * 90, 1.0, 1.0004), ("y", 1.0004, 1.5), duration=3)
    assert all(cue.start < cue.end for cue in cues(later))


def test_two_lines_are_of_about_equal_length():
    words = [("WORDS", i * 0.1, i * 0.1 + 0.1) for i in range(9)]
    (cue,) = cues(spoken(*words, duration=2))
    assert len(cue.lines) == 2
    assert abs(len(cue.lines[0]) - len(cue.lines[1])) <= 6


@pytest.mark.parametrize("text", ["가나다라", "かな漢字", "ＷＩＤＥ"])
def test_wide_characters_fill_a_line_sooner(text):
    talk = spoken(*((text, i * 0.1, i * 0.1 + 0.1) for i in range(9)), duration=2)
    assert [len(line) for cue in cues(talk) for line in cue.lines] == [14, 14, 14]
    whole = spoken((text * 9, 0.0, 3.0), duration=3)
    assert [len(line) for cue in cues(whole) for line in cue.lines] == [16, 16, 4]


@pytest.mark.parametrize("before", [1, 2, 3, 4])
@pytest.mark.parametrize("word", ["ก็น้ำที่", "को", "か\u3099"])
def test_a_long_word_is_never_cut_before_a_mark(word, before):
    talk = spoken(("x" * before + word * 40, 0.0, 6.0), duration=6)
    lines = [line for cue in cues(talk) for line in cue.lines]
    assert "".join(lines) == talk.text
    firsts = [unicodedata.normalize("NFKD", line)[0] for line in lines]
    assert not [c for c in firsts if unicodedata.category(c).startswith("M")]


def test_characters_that_no_space_parts_stay_together_in_a_line():
    talk = spoken(("今", 0.0, 0.2), ("日", 0.2, 0.4), ("AI", 1.0, 1.5), duration=2)
    words = (talk.words[0], *(replace(word, space=False) for word in talk.words[1:]))
    talk = replace(talk, words=words)
    assert talk.text == "今日AI"
    assert [cue.lines for cue in cues(talk)] == [("今日AI",)]


def test_markup_in_a_word_cannot_break_a_player():
    talk = spoken(("<b>A&B-->don't", 0.0, 1.0), duration=2)
    assert "&lt;b&gt;A&amp;B--&gt;don't" in render(talk, "vtt")  # which players show as it stands


def test_a_table_has_one_row_for_each_cue():
    talk = spoken(("ONE", 0.0, 0.4), ("TWO", 3.0, 3.4), duration=3.4)
    assert render(talk, "tsv") == "start\tend\ttext\n0\t1000\tONE\n3000\t3400\tTWO\n"


def test_no_space_comes_into_a_long_word_in_a_table():
    talk = spoken(("x" * 60, 0.0, 5.0), ("YES", 5.0, 5.2), duration=6)
    assert render(talk, "tsv") == f"start\tend\ttext\n0\t5200\t{'x' * 60} YES\n"


def test_json_holds_all_of_the_transcript():
    talk = spoken(("네", 0.0, 0.4), duration=1)
    held = json.loads(render(talk, "json"))
    assert held["text"] == "네"
    assert held["words"] == [
        {"text": "네", "start": 0.0, "end": 0.4, "confidence": 0.9, "space": True}
    ]
    assert held["duration"] == 1
    assert "네" in render(talk, "json")  # legible as it stands


def test_nothing_said_is_still_a_valid_file():
    talk = spoken(duration=3)
    assert render(talk, "txt") == render(talk, "srt") == ""
    assert render(talk, "vtt").startswith("WEBVTT\n")
    assert render(talk, "tsv") == "start\tend\ttext\n"
    assert json.loads(render(talk, "json"))["text"] == ""


@pytest.mark.parametrize("format", FORMATS)
def test_files_end_with_a_line_end(format):
    assert re.search(r"[^\n]\n{1,2}$", render(chatter(0), format))


def test_an_unknown_format_names_those_there_are():
    with pytest.raises(OptionError, match=r"docx.*txt, json, srt, vtt, tsv"):
        render(spoken(duration=1), "docx")
