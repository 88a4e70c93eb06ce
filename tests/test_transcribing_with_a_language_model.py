"""Recordings, long files and live captions with a language model, and without it as before."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tiny
from tiny import babble

from asr_core import hub, tuning
from asr_core.__main__ import main
from asr_core.beam import BeamDecoder
from asr_core.errors import ModelError, OptionError
from asr_core.language_model_sources import FOLDER, build, provide
from asr_core.lexicon import Vocabulary
from asr_core.recognizer import Recognizer

TEXT = "the cat sat on the mat\nan old hat\nit is as hot as it can be\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random model that was saved with a language model."""
    folder = tiny.wav2vec2(tmp_path_factory.mktemp("model") / "saved")
    provide(folder, "build", TEXT.splitlines() * 5)
    return folder


@pytest.fixture(scope="module")
def recognizer(folder):
    return Recognizer(str(folder), dtype="float32")


@pytest.fixture(scope="module")
def sound():
    return babble(50) * np.random.default_rng(0).normal(size=800_000).astype(np.float32)


def test_it_is_found_when_its_model_is_loaded_and_can_be_left_out(folder, recognizer, sound):
    assert "language model" in str(recognizer)
    short = (16_000, sound[:48_000])
    without = Recognizer(str(folder), dtype="float32", language_model="none")
    assert "language model" not in str(without)
    assert recognizer.using(language_model=False).transcribe(short) == without.transcribe(short)
    assert recognizer.transcribe(short).text != without.transcribe(short).text
    assert without.transcribe(short).text


def test_any_other_can_be_named(folder, tmp_path, sound):
    bare = tiny.wav2vec2(tmp_path / "bare")
    short = (16_000, sound[:48_000])
    named = str(folder / FOLDER)
    said = Recognizer(str(bare), dtype="float32", language_model=named).transcribe(short)
    assert said == Recognizer(str(folder), dtype="float32").transcribe(short)
    with pytest.raises(ModelError, match="holds no language model"):
        Recognizer(str(bare), language_model=str(tmp_path))


def test_a_long_file_is_decoded_as_one(recognizer, sound):
    *_, before_last, last = recognizer.stream((16_000, sound))
    decoder = recognizer.decoder()
    decoder.feed(np.concatenate(list(recognizer.emissions([sound]))))
    assert last.words == decoder.finish()
    assert before_last.words[:5] == last.words[:5]
    assert all(0 <= w.start < w.end <= last.duration and 0 <= w.confidence <= 1 for w in last.words)


class Ear(tiny.Ear):
    """`tiny.Ear` with a language model of its letters."""

    vocabulary: Vocabulary

    def decoder(self) -> BeamDecoder:
        return BeamDecoder(self.vocabulary, self.hop / self.rate)


def test_live_captions_end_in_the_offline_transcript(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a bad cab\na cage had a bed\n" * 10)
    ear = Ear()
    ear.vocabulary = Vocabulary.of(ear.alphabet, build([path], tmp_path / "lm"))
    sound = babble(30)
    session, settled = ear.live(), ()
    for start in range(0, len(sound), 1600):
        caption = session.feed(sound[start : start + 1600], 16_000)
        assert caption.settled[: len(settled)] == settled
        settled = caption.settled
    assert settled
    assert session.finish().words == ear.transcribe((16_000, sound)).words


def test_hotwords_of_one_visitor_are_not_those_of_the_next(recognizer, sound):
    short = (16_000, sound[:48_000])
    before = recognizer.transcribe(short)
    recognizer.using(hotwords="Badasseugi, MInDS").transcribe(short)
    assert recognizer.transcribe(short) == before
    with pytest.raises(OptionError, match="'5G'"):
        recognizer.using(hotwords="Badasseugi, 5G")


def test_hotwords_stay_without_the_language_model(folder, sound):
    short, wanted = (16_000, sound[:48_000]), {"hotwords": "Badasseugi, MInDS", "dtype": "float32"}
    letters = Recognizer(str(folder), **wanted, language_model="none")
    assert Recognizer(str(folder), **wanted).using(False).transcribe(short) == (
        letters.transcribe(short)
    )
    assert letters.using(False) is letters


def test_it_is_pushed_with_its_model_and_checkpoints_are_not(tmp_path):
    there = [
        "model.safetensors",
        "language_model/ngrams.safetensors",
        "language_model/language_model.json",
        "checkpoint-5/model.safetensors",
        "logs/config.json",
        "runs/config.json",
        "token.json",  # keys of other programs, and other people's pictures
        "family.png",
    ]
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert hub.files(tmp_path) == sorted(there[:3])


def test_it_is_tuned_on_recordings_as_they_are_and_changed(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tuning, "GRID", {"alpha": (0.2, 0.7)})
    copy = shutil.copytree(folder / FOLDER, tmp_path / "lm")
    command = ["language-model", "tune", str(copy), "--dataset", "sample", "--split", "test[:6]"]

    def tune(*flags: str) -> str:
        assert main([*command, *flags]) == 0
        rates, weights = capsys.readouterr().out.splitlines()  # both, whether they are kept or not
        assert weights.startswith(f"{copy}: Weights(alpha=")
        return rates

    plain = tune("--dry_run")
    changed = tune("--augment=all")
    again = tune("--augment=all", "--dry_run")
    assert again.split()[1] == changed.split()[1]  # without a language model, the same each time
    assert "on 6 utterances" in plain and "on 6 utterances" in changed
    assert plain.split()[1] != changed.split()[1]
    kept = json.loads((copy / "language_model.json").read_text(encoding="utf-8"))
    assert kept["tuned_on"] == ["sample"] and f"{kept['wer']:.3f} after" in changed
    assert kept["weights"]["alpha"] in (0.2, 0.4, 0.7)  # tried, and where it began
    assert main([*command, "--augment=rumble"]) == 1
    assert "--augment rumble is not one of" in capsys.readouterr().err
