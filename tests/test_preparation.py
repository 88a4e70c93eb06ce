"""Rows made ready to learn from: what is kept, with which labels, and what is left out and why."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import recordings
import soundfile as sf
import tiny
from transformers import AutoProcessor

from asr_core import data, preparation
from asr_core.errors import DataError
from asr_core.frames import Frames
from asr_core.translation import translate

FRAMES = Frames(((400, 320),))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processor")
    tiny.processor(folder)
    return AutoProcessor.from_pretrained(folder)


def prepared(path: Path, processor, **options) -> preparation.Prepared:
    return preparation.prepare(
        data.load(str(path)), processor, FRAMES, preparation.Limits(0.5, 2.2), **options
    )


def test_rows_that_cannot_be_learnt_from_are_left_out_by_name(tmp_path, processor):
    good, long, short = (recordings.sound(seconds) for seconds in (1.0, 2.5, 0.3))
    endless = "x" * 300 + ".wav"  # longer than any file's name may be
    silent = io.BytesIO()
    sf.write(silent, np.full(8_000, 5e-4), 8_000, format="WAV")
    rows = {
        "good.wav": (good, "good"),
        "empty.wav": (good, ""),
        "blank.wav": (good, "   "),
        "long.wav": (long, "too long"),
        "short.wav": (short, "too short"),
        "broken.wav": (good[:20], "cannot be read"),
        "text.wav": (b"this is not sound at all", "cannot be read"),
        "nothing.wav": (recordings.sound(0), "holds nothing"),
        "silent.wav": (silent.getvalue(), "not to be heard"),
        "foreign.wav": (good, "안 녕"),
        "fast.wav": (good, "more characters than there are frames in such a short recording"),
        "repeats.wav": (good, "zz" * 20),  # 40 characters, but 79 frames with their blanks
        "cut.wav": (good[: len(good) * 3 // 4], "cut short but there"),
    }
    for name, (sound, _) in rows.items():
        (tmp_path / name).write_bytes(sound)
    (tmp_path / "metadata.csv").write_text(
        "file_name,transcription\n"
        + "".join(f"{name},{words}\n" for name, (_, words) in rows.items())
        + f"missing.wav,is not there\n,has no file\n{endless},cannot be\n"
    )
    result = prepared(tmp_path, processor)
    assert result.rows["name"][:] == ["good.wav", "cut.wav"]
    left_out = {name for names in result.dropped.values() for name in names}
    assert left_out == {*rows, "missing.wav", "row 14", endless} - {"good.wav", "cut.wav"}
    reasons = {name: reason for reason, names in result.dropped.items() for name in names}
    assert reasons["empty.wav"] == reasons["blank.wav"] == "without a transcript"
    assert reasons["long.wav"] == "longer than 2.2 s"
    assert reasons["short.wav"] == "shorter than 0.5 s"
    assert reasons["broken.wav"] == reasons["text.wav"] == "undecodable"
    assert reasons["missing.wav"] == reasons["row 14"] == reasons[endless] == "missing"
    assert result.sought == str(tmp_path / "missing.wav")
    assert reasons["silent.wav"] == "silent"
    assert reasons["fast.wav"] == reasons["repeats.wav"] == "with more characters than frames"
    assert "character" in reasons["foreign.wav"]
    assert result.outside == {"안": 1, "녕": 1}
    assert result.damaged == ("cut.wav",)


def test_a_recording_that_was_repaired_is_read_again(tmp_path, processor):
    (tmp_path / "metadata.csv").write_text("file_name,transcription\na.wav,one\nb.wav,two\n")
    (tmp_path / "a.wav").write_bytes(recordings.sound(1.0))
    (tmp_path / "b.wav").write_bytes(b"broken")
    assert prepared(tmp_path, processor).rows["name"][:] == ["a.wav"]
    (tmp_path / "b.wav").write_bytes(recordings.sound(1.0))
    before = prepared(tmp_path, processor).rows
    assert before["name"][:] == ["a.wav", "b.wav"]
    times = (tmp_path / "b.wav").stat()
    (tmp_path / "b.wav").write_bytes(recordings.sound(1.0, seed=1))  # as long as it was
    os.utime(tmp_path / "b.wav", ns=(times.st_atime_ns, times.st_mtime_ns + 1_000_000))
    one, other = prepared(tmp_path, processor).rows["checksum"][:]
    assert one == before["checksum"][0] and other != before["checksum"][1]


def test_recordings_that_differ_in_their_beginning_alone_are_told_apart(tmp_path, processor):
    (tmp_path / "metadata.csv").write_text("file_name,transcription\na.wav,one\nb.wav,two\n")
    sound = tiny.babble(2.0)
    for name, begun in (("a.wav", 0.0), ("b.wav", 0.1)):
        sound[:100] = begun
        sf.write(tmp_path / name, sound, 16_000)
    one, other = prepared(tmp_path, processor).rows["checksum"][:]
    assert one != other


def test_where_recordings_are_missing_from_is_said_each_time(tmp_path, processor, caplog):
    recordings.write_csv(tmp_path / "metadata.csv", recordings.records())
    for _ in range(2):  # the second time what was found out comes from the cache
        with pytest.raises(DataError) as caught:
            prepared(tmp_path, processor)
        where = tmp_path / "a.wav"
        assert f"can be used: 6 missing (the first is not at {where})." in str(caught.value)
    assert not caplog.records  # not six times
    recordings.clips(tmp_path)  # and when they have come, they are found
    assert len(prepared(tmp_path, processor).rows) == 5


def test_labels_are_the_transcript_in_the_letters_of_the_model(tmp_path, processor):
    result = prepared(recordings.write_parquet(tmp_path / "rows.parquet"), processor)
    decoded = processor.tokenizer.batch_decode(result.rows["labels"][:], group_tokens=False)
    assert decoded[:2] == ["FREEZE MY CARD", "PAY THE BILL PLEASE"]
    seconds = [row[3] for row in recordings.ROWS if row[3] <= 2.2]
    assert result.rows["length"][:] == pytest.approx([16_000 * s for s in seconds], abs=2)


def test_two_processes_prepare_what_one_prepares(tmp_path, processor):
    path = recordings.write_parquet(tmp_path / "rows.parquet")
    one, two = prepared(path, processor), prepared(path, processor, num_proc=2)
    assert two.rows["labels"][:] == one.rows["labels"][:]
    assert two.dropped == one.dropped == {"longer than 2.2 s": ["b.wav"]}


def test_a_data_set_without_a_usable_row_is_an_error_that_says_why(tmp_path, processor):
    rows = [row | {"transcription": ""} for row in recordings.records()]
    recordings.write_jsonl(recordings.clips(tmp_path) / "metadata.jsonl", rows)
    with pytest.raises(DataError, match="6 without a transcript"):
        prepared(tmp_path, processor)


def test_data_in_a_script_the_model_cannot_spell_is_told_what_helps(tmp_path, processor):
    rows = [row | {"transcription": "안녕"} for row in recordings.records()]
    rows[0]["transcription"] = ""
    recordings.write_jsonl(recordings.clips(tmp_path) / "metadata.jsonl", rows)
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, processor, part="test part")
    said = str(caught.value)
    assert said.startswith("No row of the test part can be used: 1 without a transcript, 5 without")
    assert said.endswith("the model can spell (--vocabulary data makes it learn to).")
    assert translate(said, "ko").startswith("견줄 부분에 쓸 수 있는 문장이 없습니다: 1 without")
    # What was taken from the data already lacks what the test part has alone.
    with pytest.raises(DataError, match=r"the model can spell\.$"):
        prepared(tmp_path, processor, part="test part", new_vocabulary=True)
