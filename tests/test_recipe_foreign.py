"""English by the diphones of other languages, which have no English sounds."""

from __future__ import annotations

import lzma
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from asr_core.errors import DataError
from asr_core.recipe import __main__ as recipe
from asr_core.recipe import accents, foreign, synthesize, voices

VOICES = Path("/usr/share/festival/voices")


def speaker(name: str, accent: int) -> accents.Speaker:
    return accents.Speaker(voices.Voice("festival", name), accent)


def test_all_voices_come_and_each_time_with_another_accent():
    rng = random.Random(0)
    drawn = [foreign.draw(rng) for _ in range(200)]
    assert {one.voice.name for one in drawn} == set(foreign.SPEAKERS)
    assert len({one.speaker for one in drawn}) == 200
    assert not {one.voice.speaker for one in drawn} & {one.speaker for one in voices.HELD_OUT}


@pytest.mark.parametrize("name", [name for name in foreign.SPEAKERS if name != "kal_diphone"])
def test_every_english_sound_has_a_foreign_one(name):
    english = {*accents.VOWELS["flite"], *accents.CONSONANTS["flite"]}
    for number in range(20):
        said = foreign.sounds(speaker(name, number))
        assert english <= set(said)
        assert all(said[sound] for sound in accents.VOWELS["flite"])


def test_kal_moves_only_what_its_accent_moves():
    assert foreign.sounds(speaker("kal_diphone", 5)) == {
        sound: [other] for sound, other in accents.Accent(5, "flite").moved.items()
    }


@pytest.mark.parametrize("name", ["kal_diphone", "pc_diphone", "suo_fi_lj_diphone", "czech_krb"])
def test_a_sentence_takes_the_time_that_kal_takes_for_it(name):
    if not shutil.which("festival") or not any(VOICES.glob(f"*/{name}")):
        pytest.skip(f"festival's {name} is not installed")
    text = 'I would like to "check" the balance, please.'
    plain = voices.speak(text, voices.Voice("festival", "kal_diphone"))
    said = foreign.speak(text, speaker(name, 3))
    assert 0.8 < len(said) / len(plain) < 1.2
    count = min(len(said), len(plain))
    assert np.abs(said[:count] - plain[:count]).max() > 0.05
    slow = accents.Speaker(voices.Voice("festival", name, speed=0.5), 3)
    assert len(foreign.speak(text, slow)) > 1.6 * len(said)


def test_a_voice_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(voices, "run_program", lambda command, script: "")
    with pytest.raises(DataError, match=r"festival has no czech_krb: see `recipe/foreign\.py`"):
        foreign.speak("Hello", speaker("czech_krb", 1))


def test_kokoro_has_no_diphones(tmp_path, capsys):
    flags = ["--text", str(tmp_path), "--output", str(tmp_path), "--foreign"]
    assert recipe.main(["synthesize", *flags, "--kokoro", str(tmp_path)]) == 1
    assert "leave out --foreign, or --kokoro" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "name", "speakers"),
    [
        ([], "synthetic-00007.parquet", voices),
        (["--accents"], "accented-00007.parquet", accents),
        (["--foreign"], "foreign-00007.parquet", foreign),
        (["--foreign", "--accents"], "foreign-00007.parquet", foreign),  # which have accents
    ],
)
def test_who_speaks_is_told_from_the_name_of_what_they_said(
    flags, name, speakers, monkeypatch, tmp_path
):
    class Alone:  # instead of a pool of processes
        def __init__(self, count, begin, given):
            begin(*given)

        __enter__, __exit__, imap = lambda self: self, lambda *_: None, staticmethod(map)

    spoken = []
    monkeypatch.setattr(synthesize.multiprocessing, "Pool", Alone)
    monkeypatch.setattr(synthesize, "_speakers", None)
    monkeypatch.setattr(synthesize, "_texts", {})
    monkeypatch.setattr(
        synthesize, "_shard", lambda job: spoken.append((job[1].name, synthesize._speakers)) or 3600
    )
    with lzma.open(tmp_path / "snips.txt.xz", "wt", encoding="utf-8") as file:
        file.write("Play some music\n")
    folders = ["--text", str(tmp_path), "--output", str(tmp_path)]
    assert recipe.main(["synthesize", *folders, "--hours", "1", "--first", "7", *flags]) == 0
    assert spoken == [(name, speakers)]
