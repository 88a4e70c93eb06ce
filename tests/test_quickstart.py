"""The whole path: fine-tune the embedded model on the sample, then talk to the result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import soxr
from browser import App
from gradio_client import Client, handle_file

from asr_core import audio, data
from asr_core.recognizer import Recognizer

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


def run(*command: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def hasty(tmp_path_factory) -> Path:
    """The sample by people who speak two thirds as fast again, and higher: faster than the embedded
    model has heard anybody."""
    folder = tmp_path_factory.mktemp("hasty")
    for part in ("train", "test"):
        lines = ["file_name,transcription"]
        for index, row in enumerate(data.load("sample", split=part)):
            samples = soxr.resample(audio.load(data.row_source(row), 16_000), 1.7 * 16_000, 16_000)
            soundfile.write(folder / f"{part}{index}.wav", samples, 16_000)
            lines.append(f"{part}{index}.wav,{row['transcription']}")
        (folder / f"{part}.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, hasty) -> tuple[Path, str]:
    """The folder that `train.py` wrote, and what it said; fewer and larger steps will do."""
    folder = tmp_path_factory.mktemp("quickstart") / "model"
    flags = ("--preset", "quickstart", "--dataset", str(hasty), "--output_dir", str(folder))
    return folder, run("train.py", *flags, "--num_train_epochs", "3", "--learning_rate", "5e-4")


def test_fine_tuning_lowers_the_error_rate_on_sentences_and_voices_never_heard(
    tuned, hasty, tmp_path
):
    folder, said = tuned
    flags = ("--dataset", str(hasty), "--split", "test", "--language_model", "none")
    models = ("--model", str(folder), "--baseline", "embedded")
    run("-m", "asr_core", "evaluate", *models, *flags, "--json", str(tmp_path / "e.json"))
    after = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    before = after["baseline"]
    # By letters: 42 clips can hardly tell two WER apart.
    assert after["cer"] < before["cer"] - 0.005
    assert {"wer", "cer", "utterances", "audio_seconds", "seconds"} <= set(after)
    assert f"WER {before['wer']:.3f} -> {after['wer']:.3f}" in said


def test_the_app_serves_what_was_just_made(tuned, tmp_path):
    folder, _ = tuned
    row = data.load("sample", split="test[:1]")[0]
    clip = tmp_path / "clip.flac"
    clip.write_bytes(data.row_source(row))
    app = App(tmp_path / "uploads", "--model", str(folder))
    try:
        app.wait_for("Ready: ")
        assert str(folder) in app.log
        written = Client(app.url, verbose=False).predict(
            handle_file(str(clip)), "txt", api_name="/transcribe"
        )
    finally:
        app.close()
    assert written.strip()
    assert written.strip() == Recognizer(str(folder)).transcribe(clip).text


def test_the_words_that_the_first_model_knew_come_along(tuned):
    folder, _ = tuned
    row = data.load("sample", split="test[:1]")[0]
    recognizer = Recognizer(str(folder))
    assert recognizer.language_model
    clip = data.row_source(row)
    assert recognizer.transcribe(clip).text != recognizer.using(False).transcribe(clip).text


def test_what_was_made_loads_in_a_stock_pipeline(tuned):
    from transformers import pipeline

    folder, _ = tuned
    row = data.load("sample", split="test[:1]")[0]
    samples = audio.load(data.row_source(row), 16_000)
    stock = pipeline("automatic-speech-recognition", model=str(folder), dtype="float32")
    ours = Recognizer(str(folder), dtype="float32", language_model="none")
    heard = stock({"raw": samples, "sampling_rate": 16_000})["text"]
    assert heard == ours.transcribe((16_000, samples)).text
