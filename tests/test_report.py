"""The look before training: what is there, what is left out and why."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import recordings
import tiny
from matplotlib import colors, image
from transformers import AutoProcessor

from asr_core import data, models, pictures, preparation, report
from asr_core.frames import Frames

FRAMES = Frames(((400, 320),))


@pytest.fixture(scope="module")
def looked(tmp_path_factory) -> report.Report:
    """A train part with one broken, one silent-mouthed and one long clip among eight."""
    folder = tmp_path_factory.mktemp("data")
    tiny.processor(folder / "processor")
    processor = AutoProcessor.from_pretrained(folder / "processor")
    clips = recordings.clips(folder / "clips")
    (clips / "broken.wav").write_bytes(b"RIFF and nothing more")
    (clips / "long.wav").write_bytes(recordings.sound(9.0))
    rows = [
        *recordings.records(),
        {"file_name": "broken.wav", "transcription": "broken", "speaker": "dora"},
        {"file_name": "long.wav", "transcription": "long", "speaker": "dora"},
    ]
    rows[1]["transcription"] = ""
    rows[3]["transcription"] = "route 66 to Łódź"  # 6, 6, Ł, Ó and Ź have no token
    recordings.write_csv(clips / "metadata.csv", rows)
    limits = preparation.Limits(longest=5.0)
    train = preparation.prepare(data.load(str(clips)), processor, FRAMES, limits)
    test = preparation.prepare(data.load(data.SAMPLE, split="test[:4]"), processor, FRAMES, limits)
    return report.look(train, test, processor)


def test_numbers_are_those_of_the_rows_that_stay(looked):
    seconds = [1.2, 1.6, 2.0, 1.4, 1.8]
    train = looked.train
    assert train.clips == 5
    assert train.durations == pytest.approx(seconds, abs=0.01)
    assert train.hours == pytest.approx(sum(seconds) / 3600, abs=1e-4)
    assert train.speakers == 3  # dora has no clip left
    assert looked.test.speakers is None
    assert looked.test.clips == 4


def test_who_is_not_known_is_no_speaker():
    processor = AutoProcessor.from_pretrained(models.EMBEDDED_FOLDER)
    rows = data.load(data.SAMPLE, split="train[:4]")
    for speakers, count in ((["a", None, "b", ""], 2), ([None] * 4, None)):
        named = rows.add_column("speaker", speakers)
        prepared = preparation.prepare(named, processor, FRAMES)
        assert report.look(prepared, prepared, processor).train.speakers == count


def test_repeats_are_counted_within_and_across_the_parts():
    rows = data.load(data.SAMPLE, split="train[:4]")
    processor = AutoProcessor.from_pretrained(models.EMBEDDED_FOLDER)
    train = preparation.prepare(rows.select([0, 1, 1, 2, 1]), processor, FRAMES)
    test = preparation.prepare(rows.select([2, 3, 2]), processor, FRAMES)
    found = report.look(train, test, processor)
    assert (found.train.repeats, found.test.repeats, found.shared) == (2, 1, 2)
    assert "2 recordings of test are in train too" in str(found)


def test_who_and_what_is_learnt_from_and_measured_too_is_told():
    rows = data.load(data.SAMPLE, split="train[:6]").add_column("speaker", ["a", "b", "c"] * 2)
    processor = AutoProcessor.from_pretrained(models.EMBEDDED_FOLDER)
    train, test, others = (
        preparation.prepare(rows.select(some), processor, FRAMES)
        for some in ([0, 1], [3, 4, 2, 0, 1], [2])
    )
    printed = str(report.look(train, test, processor))
    assert "2 of the 3 speakers of test are in train too" in printed
    assert "2 of the 5 transcripts of test are in train too" in printed
    assert "too" not in str(report.look(train, others, processor))


def test_rows_left_out_have_a_reason_and_a_name(looked):
    assert looked.train.dropped == {
        "without a transcript": ["b.wav"],
        "undecodable": ["broken.wav"],
        "longer than 5 s": ["long.wav"],
    }
    printed = str(looked)
    for expected in ("1 without a transcript (b.wav)", "1 undecodable (broken.wav)", "long.wav"):
        assert expected in printed


def test_characters_without_a_token_are_counted(looked):
    assert looked.train.outside == {"6": 2, "Ł": 1, "Ó": 1, "Ź": 1}
    assert looked.train.unknown == 5
    spoken = ["FREEZE MY CARD", "PAY THE BILL PLEASE", "ROUTE 66 TO ŁÓDŹ", "A JOINT ACCOUNT"]
    spoken.append("THE APP WON'T START")
    assert looked.train.characters == sum(map(len, spoken))
    assert looked.train.unknown_share == pytest.approx(5 / sum(map(len, spoken)))
    assert looked.test.unknown_share == 0
    printed = str(looked)
    assert "'6' 2" in printed and "'Ł' 1" in printed
    assert f"{looked.train.unknown_share:.2%}" in printed


def test_what_is_printed_is_short(looked):
    lines = str(looked).splitlines()
    assert len(lines) <= 14
    assert max(map(len, lines)) <= 100


def test_many_names_are_not_printed_but_saved(tmp_path):
    names = [f"{number}.wav" for number in range(50)]
    part = report.Part(1, 0.1, None, (1.0,), 10, 0, {}, {"undecodable": names})
    long = report.Report(replace(part, damaged=("cut.wav",)), part, 32)
    assert "damaged, but in train: 1 that may not say all of their transcript (cut.wav)" in str(
        long
    )
    assert "50 undecodable (0.wav, 1.wav, 2.wav, ...)" in str(long)
    long.save(tmp_path)
    assert json.loads((tmp_path / "data.json").read_text())["train"]["dropped"] == {
        "undecodable": names
    }


def test_where_a_recording_is_missing_from_is_printed():
    part = report.Part(
        1, 0.1, None, (1.0,), 10, 0, {}, {"missing": ["a.wav"]}, sought="clips/a.wav"
    )
    whole = report.Part(1, 0.1, None, (1.0,), 10, 0, {}, {})
    assert "1 missing (a.wav)\n  there is no clips/a.wav" in str(report.Report(part, whole, 32))


def test_data_in_another_script_is_told_what_helps():
    foreign = report.Part(1, 0.1, None, (1.0,), 10, 8, {"가": 8}, {})
    assert "--vocabulary data" in str(report.Report(foreign, foreign, 32))
    assert "--vocabulary data" not in str(report.Report(foreign, foreign, 32, new_vocabulary=True))
    spelt = replace(foreign, unknown=1)
    assert "--vocabulary data" not in str(report.Report(spelt, spelt, 32))
    assert "--vocabulary data" in str(report.Report(spelt, foreign, 32))  # which is measured on


def test_characters_without_a_token_are_those_of_both_parts():
    part = report.Part(1, 0.1, None, (1.0,), 10, 0, {"é": 1}, {})
    other = replace(part, outside={"é": 2, "6": 1})
    assert "vocabulary of 32 tokens: 'é' 3  '6' 1" in str(report.Report(part, other, 32))


def test_the_file_holds_all_numbers_and_a_histogram(looked, tmp_path):
    looked.save(tmp_path / "new")
    saved = json.loads((tmp_path / "new" / "data.json").read_text())
    assert saved["train"]["clips"] == 5 and saved["vocabulary"] == looked.vocabulary
    assert saved["train"]["outside"] == looked.train.outside
    assert saved["train"]["unknown_share"] == looked.train.unknown_share
    histogram = saved["durations"]
    assert len(histogram["edges"]) == len(histogram["train"]) + 1
    assert (sum(histogram["train"]), sum(histogram["test"])) == (5, 4)
    longest = max(saved["train"]["longest"], saved["test"]["longest"])
    assert histogram["edges"][-1] == pytest.approx(longest, abs=1e-3)
    assert histogram["edges"][0] == 0


# --- pictures ---


def share_of(path, colour: str) -> float:
    """How much of a picture has about this colour."""
    pixels = image.imread(path)[..., :3]
    return float((np.abs(pixels - colors.to_rgb(colour)).max(axis=-1) < 0.15).mean())


def test_the_picture_of_the_data_shows_both_parts(looked, tmp_path):
    looked.save(tmp_path)
    train, test = (0.4 + 0.6 * np.array(colors.to_rgb(c)) for c in (pictures.BLUE, pictures.ORANGE))
    assert share_of(tmp_path / "data.png", train) > 0.01
    assert share_of(tmp_path / "data.png", test) > 0.01


def test_the_picture_tells_of_each_part_what_was_left_out_of_it(looked, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "draw_data", lambda *given: drawn.append(given))
    looked.save(tmp_path)
    ((_, dropped, _),) = drawn
    assert dropped == {"train": looked.train.dropped, "test": {}}


HISTORY = [
    {"step": 10, "loss": 9.0, "learning_rate": 1e-4, "epoch": 1},
    {"step": 10, "eval_loss": 8.0, "eval_wer": 1.0, "eval_cer": 0.9},
    {"step": 20, "loss": 4.0, "learning_rate": 5e-5},
    {"step": 20, "eval_loss": 3.0, "eval_wer": 0.4, "eval_cer": 0.2},
    {"step": 20, "train_runtime": 9.0, "total_flos": 0.0},
]


def test_the_picture_of_the_training_shows_what_was_logged(tmp_path):
    def drawn(history) -> dict[str, float]:
        path = tmp_path / "training.png"
        pictures.draw_training(history, path)
        names = {"wer": pictures.BLUE, "cer": pictures.ORANGE, "rate": pictures.GREEN}
        return {name: share_of(path, colour) for name, colour in names.items()}

    everything = drawn(HISTORY)
    assert min(everything.values()) > 1e-4
    without = drawn([entry for entry in HISTORY if "eval_wer" not in entry])
    assert without["wer"] == without["cer"] == 0 and without["rate"] > 1e-4


@pytest.mark.parametrize("history", [[], HISTORY[:1], HISTORY[1:2], [{"step": 1, "loss": "2.5"}]])
def test_a_training_cut_short_has_a_picture_too(history, tmp_path):
    pictures.draw_training(history, tmp_path / "training.png")
    assert image.imread(tmp_path / "training.png").std() > 0.01
