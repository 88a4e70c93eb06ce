"""Accents that nobody has: sounds move to their neighbours, always in the same way."""

from __future__ import annotations

import importlib.util
import random
import shutil

import numpy as np
import pytest

from asr_core.recipe import accents, voices

SAID = "aI w|U|d l|'aI|k t|@ tS|'E|k D|@2 b|'a|l|@|n|s\nw|,e@|z D|@2 k|'a|S\n"


def sounds(spoken: str) -> list[str]:
    for sign in ("[[", "]],", "]]", "|"):
        spoken = spoken.replace(sign, " ")
    return [sound for each in spoken.split() if (sound := each.lstrip("',%=ˈˌ"))]


def test_each_sound_becomes_the_same_one_everywhere():
    before = sounds(SAID)
    moved = 0
    for number in range(50):
        accent = accents.Accent(number)
        after = sounds(accent(SAID))
        assert accents.Accent(number)(SAID) == accent(SAID)
        become = dict(zip(before, after, strict=True))
        assert [become[sound] for sound in before] == after
        for sound, other in become.items():
            known = {**accents.VOWELS["espeak-ng"], **accents.CONSONANTS["espeak-ng"]}.get(
                sound, ""
            )
            assert other == sound or other in known.split()
        moved += sum(sound != other for sound, other in become.items())
    assert 0.05 < moved / (50 * len(set(before))) < 0.3


def test_words_clauses_and_stress_stay():
    said = accents.Accent(next(n for n in range(99) if not accents.Accent(n).flat))(SAID)
    first, second = said.split(", ")
    assert len(first.split()) == 7 and len(second.split()) == 3
    assert said.count("'") == SAID.count("'") and said.count("[[") == said.count("]]") == 2
    flat = accents.Accent(next(n for n in range(99) if accents.Accent(n).flat))
    assert "'" not in flat(SAID)


def test_no_voice_that_is_held_out_is_given_an_accent():
    rng = random.Random(0)
    drawn = [accents.draw(rng) for _ in range(300)]
    assert {one.voice.engine for one in drawn} == {"espeak-ng", "flite", "hibari"}
    assert not {one.voice.speaker for one in drawn} & {one.speaker for one in voices.HELD_OUT}
    assert len({one.speaker for one in drawn}) == 300


@pytest.mark.parametrize(
    "engine, name", [("espeak-ng", "en-us+m3"), ("flite", "slt"), ("hibari", "heart")]
)
def test_a_sentence_in_an_accent_is_another_sound_of_about_its_length(engine, name):
    there = importlib.util.find_spec if engine == "hibari" else shutil.which
    if not there(engine):
        pytest.skip(f"{engine} is not installed")
    text = "I would like to check the balance, please."
    voice = voices.Voice(engine, name)
    plain = voices.speak(text, voice)
    said = voices.phonemes(text, voice)
    before = sounds(f"[[{said}]]")

    def moved(number: int) -> int:
        after = sounds(accents.Accent(number, engine)(said))
        return sum(one != other for one, other in zip(before, after, strict=True))

    number = max(range(99), key=moved)
    assert moved(number) > 5
    accented = accents.speak(text, accents.Speaker(voice, number))
    assert 0.7 < len(accented) / len(plain) < 1.4
    count = min(len(plain), len(accented))
    assert np.abs(accented[:count] - plain[:count]).max() > 0.1
