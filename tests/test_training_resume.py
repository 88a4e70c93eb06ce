"""Interruptions lose nothing: killed, asked to stop or out of room, a run can go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny

import train
from asr_core.errors import OptionError

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent

# train.py, with a note of every row and of how it sounds, in the order in which they are learnt.
PROGRAM = """
import resource, sys, zlib
from asr_core import preparation
seen = open(sys.argv[1], "a", buffering=1)
plain = preparation.Features.__call__
def noted(self, row):
    features = plain(self, row)
    if self.augment is not None:
        print(row["name"] + ":" + str(zlib.crc32(features["input_values"])), file=seen)
    return features
preparation.Features.__call__ = noted
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
import logging, train
logging.basicConfig(level=logging.INFO, format="%(message)s")
try:
    sys.exit(train.main(sys.argv[3:]))
except train.AsrError as error:
    sys.exit(f"train.py: {error}")
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny.wav2vec2(tmp_path_factory.mktemp("model"), norm="layer")


def start(model: Path, folder: Path, *flags: str, limit: int = 0) -> subprocess.Popen:
    """A run of 24 steps, 6 an epoch, a checkpoint every 5."""
    command = [
        *(sys.executable, "-c", PROGRAM, str(folder.with_suffix(".seen")), str(limit)),
        *("--preset", "quickstart", "--model", str(model), "--output_dir", str(folder)),
        *("--train_split", "train[:12]", "--eval_split", "test[:2]", "--batch_seconds", "8"),
        *("--max_steps", "24", "--save_strategy", "steps", "--save_steps", "5"),
        *("--eval_strategy", "steps", "--eval_steps", "5", "--logging_steps", "1"),
        *("--augment", "telephone,noise", *flags),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command,
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
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run = start(model, folder)
    said = finish(run)
    assert run.returncode == 0, said
    return folder.with_suffix(".seen").read_text().split()


def test_killed_run_goes_on_with_the_rows_that_were_next(model, uninterrupted, tmp_path):
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
    seen = folder.with_suffix(".seen")
    seen.unlink()
    run = start(model, folder, "--resume")
    said = finish(run)
    assert run.returncode == 0, said
    assert "checkpoint-99 is incomplete" in said
    rows = seen.read_text().split()
    per_step = len(uninterrupted) / 24
    assert len(rows) == pytest.approx((24 - resumed_from) * per_step, abs=2 * per_step)
    assert rows == uninterrupted[-len(rows) :]


def test_asked_to_stop_saves_measures_and_can_go_on(model, tmp_path):
    folder = tmp_path / "stopped"
    run = start(model, folder)
    wait_for(folder / "checkpoint-5" / "trainer_state.json", run)
    run.send_signal(signal.SIGTERM)
    said = finish(run)
    assert run.returncode == 130, said
    assert "what is learnt so far is saved" in said
    assert (folder / "config.json").exists()
    assert (folder / "README.md").exists()
    run = start(model, folder, "--resume")
    said = finish(run)
    assert run.returncode == 0, said
    assert "step 24/24" in said


def test_full_disk_is_one_sentence_and_earlier_work_stays(model, tmp_path):
    folder = tmp_path / "full"
    size = (model / "model.safetensors").stat().st_size
    # The limit holds for shared memory too, by which other processes would hand over batches.
    run = start(model, folder, "--dataloader_num_workers", "0", limit=size // 2)
    said = finish(run)
    assert run.returncode == 1
    assert said.splitlines()[-1].startswith("train.py: Training stopped because")
    assert "another --output_dir" in said.splitlines()[-1]  # there is nothing to resume from
    assert "Traceback" not in said


def test_a_second_run_does_not_overwrite_the_first_unasked(model, tmp_path):
    (tmp_path / "checkpoint-5").mkdir()
    with pytest.raises(OptionError, match="add --resume"):
        train.main(["--model", str(model), "--output_dir", str(tmp_path)])


def test_nothing_to_resume_is_said(model, tmp_path):
    with pytest.raises(OptionError, match="no whole checkpoint"):
        train.main(["--model", str(model), "--output_dir", str(tmp_path / "none"), "--resume"])
