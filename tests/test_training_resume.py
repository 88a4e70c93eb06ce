"""Interruptions lose nothing: killed, asked to stop or out of room, a run can go on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from tempfile import TemporaryFile

import pytest
import tiny

import train
from asr_core import preparation
from asr_core.errors import ModelError, OptionError

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny.wav2vec2(tmp_path_factory.mktemp("model"), norm="layer")


def flags(model: Path, folder: Path) -> list[str]:
    """A run of 24 steps, 6 an epoch, a checkpoint every 5."""
    return [
        *("--preset", "quickstart", "--model", str(model), "--output_dir", str(folder)),
        *("--train_split", "train[:12]", "--eval_split", "test[:2]", "--batch_seconds", "8"),
        *("--max_steps", "24", "--save_strategy", "steps", "--save_steps", "5"),
        *("--eval_strategy", "steps", "--eval_steps", "5", "--logging_steps", "1"),
        *("--augment", "telephone,noise"),
    ]


def learn(*arguments: str) -> list[str]:
    """Every row and how it sounds, in the order in which such a run learns them."""
    plain = preparation.Features.__call__
    with TemporaryFile("w+", buffering=1) as seen, pytest.MonkeyPatch.context() as patch:

        def noted(self, row):  # in a process that reads ahead
            features = plain(self, row)
            if self.augment is not None:
                print(f"{row['name']}:{zlib.crc32(features['input_values'])}", file=seen)
            return features

        patch.setattr(preparation.Features, "__call__", noted)
        assert train.main([*arguments]) == 0
        seen.seek(0)
        return seen.read().split()


def start(model: Path, folder: Path) -> subprocess.Popen:
    """Such a run in a process of its own, which can be sent signals."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "train.py", *flags(model, folder)],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(run: subprocess.Popen) -> str:
    _, said = run.communicate(timeout=180)
    return said


def wait_for(path: Path, run: subprocess.Popen) -> None:
    for _ in range(1800):
        if path.exists():
            return
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.1)
    raise AssertionError(f"{path} never came")


@pytest.fixture(scope="module")
def uninterrupted(model, tmp_path_factory) -> list[str]:
    return learn(*flags(model, tmp_path_factory.mktemp("runs") / "whole"))


def test_killed_run_goes_on_with_the_rows_that_were_next(model, uninterrupted, tmp_path, caplog):
    folder = tmp_path / "killed"
    run = start(model, folder)
    wait_for(folder / "checkpoint-10" / "trainer_state.json", run)
    run.send_signal(signal.SIGKILL)
    finish(run)
    # What a kill in the middle of saving leaves behind.
    (folder / "checkpoint-99").mkdir()
    (folder / "checkpoint-99" / "model.safetensors").write_bytes(b"half of it")
    resumed_from = max(
        int(path.parent.name.split("-")[1]) for path in folder.glob("*/trainer_state.json")
    )
    rows = learn(*flags(model, folder), "--resume")
    assert "checkpoint-99 is incomplete" in caplog.text
    per_step = len(uninterrupted) / 24
    assert len(rows) == pytest.approx((24 - resumed_from) * per_step, abs=2 * per_step)
    assert rows == uninterrupted[-len(rows) :]


def test_asked_to_stop_saves_measures_and_can_go_on(model, tmp_path, caplog):
    folder = tmp_path / "stopped"
    run = start(model, folder)
    wait_for(folder / "checkpoint-5" / "trainer_state.json", run)
    run.send_signal(signal.SIGTERM)
    said = finish(run)
    assert run.returncode == 130, said
    assert "what is learnt so far is saved" in said
    assert (folder / "config.json").exists()
    assert (folder / "README.md").exists()
    with caplog.at_level("INFO"):
        assert train.main([*flags(model, folder), "--resume"]) == 0
    assert "step 24/24" in caplog.text


def test_what_is_finished_learns_no_more_and_is_saved_as_it_was(model, tmp_path, caplog):
    few = [*flags(model, tmp_path), "--max_steps", "5"]  # in the midst of an epoch
    assert train.main(few) == 0
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").unlink()
    with caplog.at_level("INFO"):
        assert not learn(*few, "--resume")
    assert f"{tmp_path} is finished already: raise --num_train_epochs or" in caplog.text
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert not (tmp_path / "checkpoint-6").exists()


def test_full_disk_is_one_sentence_and_earlier_work_stays(model, tmp_path):
    folder = tmp_path / "full"
    size = (model / "model.safetensors").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
    try:
        with pytest.raises(ModelError) as stopped:
            # The limit holds for shared memory too, by which processes would hand over batches.
            train.main([*flags(model, folder), "--dataloader_num_workers", "0"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    sentence = str(stopped.value)
    assert sentence.startswith("Training stopped because") and "\n" not in sentence
    assert sentence.endswith("another --output_dir.")  # there is nothing to resume from


def test_a_second_run_does_not_overwrite_the_first_unasked(model, tmp_path):
    (tmp_path / "checkpoint-5").mkdir()
    with pytest.raises(OptionError, match="add --resume"):
        train.main(["--model", str(model), "--output_dir", str(tmp_path)])


def test_nothing_to_resume_is_said(model, tmp_path):
    with pytest.raises(OptionError, match="no whole checkpoint"):
        train.main(["--model", str(model), "--output_dir", str(tmp_path / "none"), "--resume"])
