"""The embedded `sample` data set: MInDS-14's columns, telephone sound, nothing of test in train."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from datasets import Audio, ClassLabel, DatasetDict, load_dataset

import asr_core
from asr_core.recipe import sentences

FOLDER = Path(asr_core.__file__).parent / "embedded" / "sample"
FILES = {part: str(FOLDER / f"{part}.parquet") for part in ("train", "test")}
INTENTS = """abroad address app_error atm_limit balance business_loan card_issues cash_deposit
direct_debit freeze high_value_payment joint_account latest_transactions pay_bill""".split()


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> DatasetDict:
    cache = tmp_path_factory.mktemp("datasets")
    loaded = load_dataset("parquet", data_files=FILES, cache_dir=str(cache))
    assert loaded["train"].features["audio"] == Audio(sampling_rate=8000)
    return loaded.cast_column("audio", Audio(sampling_rate=8000, decode=False))


@pytest.fixture(scope="module", params=["train", "test"])
def part(request, sample):
    return sample[request.param]


def speakers(part) -> set[str]:
    """Paths end in SPEAKER-NUMBER.flac."""
    return {Path(path).stem.rpartition("-")[0] for path in part["path"]}


def test_columns_are_those_of_minds14(part):
    assert part.column_names == [
        "path",
        "audio",
        "transcription",
        "english_transcription",
        "intent_class",
        "lang_id",
    ]
    intents, languages = part.features["intent_class"], part.features["lang_id"]
    assert isinstance(intents, ClassLabel) and isinstance(languages, ClassLabel)
    assert intents.names == INTENTS
    assert len(languages.names) == 14
    assert {languages.int2str(number) for number in part["lang_id"]} == {"en-US"}


def test_both_parts_have_every_intent(part):
    assert set(part["intent_class"]) == set(range(14))


def test_paths_name_the_format_of_their_bytes(part):
    for row in part:
        sound = sf.info(io.BytesIO(row["audio"]["bytes"]))
        assert row["path"].endswith(f".{sound.format.lower()}")


def test_intent_of_a_row_is_the_one_in_its_path(part):
    names = part.features["intent_class"].names
    for row in part:
        assert row["path"].startswith(f"en-US~{names[row['intent_class']].upper()}/")
        assert row["audio"]["path"] == row["path"]


def test_transcripts_are_letters_apostrophes_and_single_spaces(part):
    for text in part["transcription"]:
        assert re.fullmatch(r"[A-Za-z']+( [A-Za-z']+)*", text), text
    assert part["english_transcription"][:] == part["transcription"][:]


def test_sound_is_telephone_speech(part):
    for row in part:
        samples, rate = sf.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
        assert (rate, samples.ndim) == (8000, 1), row["path"]
        level = 20 * np.log10(np.sqrt(np.mean(samples**2)))
        assert -35 < level < -15, f"{row['path']} has a level of {level:.1f} dB"
        assert np.abs(samples).max() < 0.95, f"{row['path']} is clipped"
        pace = len(row["transcription"].split()) / (len(samples) / rate)
        assert 1.2 < pace < 6, f"{row['path']} has {pace:.1f} words per second"
        power = np.abs(np.fft.rfft(samples)) ** 2
        frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
        band = (frequencies > 200) & (frequencies < 3600)
        assert power[band].sum() > 0.97 * power.sum(), f"{row['path']} is not band-limited"


def test_speech_stands_out_from_a_line_that_is_never_silent(part):
    """Frames of 20 ms: the quietest tenth is the line, the loudest tenth is speech."""
    for row in part:
        samples, _ = sf.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
        frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
        loudness = np.sort(np.sqrt(np.mean(frames**2, axis=1)))
        tenth = len(loudness) // 10
        line, speech = loudness[:tenth].mean(), loudness[-tenth:].mean()
        assert line > 0, f"{row['path']} has digital silence"
        assert speech > 5 * line, f"{row['path']} drowns in noise"


def test_parts_are_large_enough_to_learn_from_and_to_measure_on(sample):
    assert sample["train"].num_rows >= 80
    assert sample["test"].num_rows >= 36
    assert len(speakers(sample["train"])) >= 20


def test_no_sentence_of_test_is_in_train(sample):
    train, test = (
        {text.lower() for text in sample[name]["transcription"]} for name in ("train", "test")
    )
    assert not train & test


def test_no_voice_of_test_is_in_train(sample):
    train, test = speakers(sample["train"]), speakers(sample["test"])
    assert len(test) == 4
    assert not train & test
    held_out = re.compile("scotland|rms|ked")
    assert all(held_out.search(speaker) for speaker in test)
    assert not any(held_out.search(speaker) for speaker in train)


def test_all_three_engines_speak_in_both_parts(part):
    engines = {re.match("espeak-ng|flite|festival", speaker)[0] for speaker in speakers(part)}
    assert engines == {"espeak-ng", "flite", "festival"}


@pytest.mark.parametrize(("name", "texts"), [("train", sentences.TRAIN), ("test", sentences.TEST)])
def test_files_hold_the_sentences_of_the_recipe(sample, name, texts):
    expected = {(intent, text) for intent, group in texts.items() for text in group}
    rows = sample[name].remove_columns("audio")
    assert {(INTENTS[row["intent_class"]], row["transcription"]) for row in rows} == expected
    assert rows.num_rows == len(expected)


def test_both_files_together_stay_small():
    assert sum(Path(path).stat().st_size for path in FILES.values()) < 4_000_000
