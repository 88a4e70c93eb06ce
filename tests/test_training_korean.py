"""A second language from end to end: Korean speech, a vocabulary of jamo, syllables on the page."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from asr_core import metrics, text
from asr_core.recognizer import Recognizer

pytestmark = pytest.mark.slow

SENTENCES = [
    "잔액을 알려 주세요",
    "카드를 잃어버렸어요",
    "계좌를 만들고 싶어요",
    "주소를 바꾸고 싶습니다",
]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng, which speaks the Korean sentences, is not installed")
    folder = tmp_path_factory.mktemp("korean")
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "transcription"])
        for i, sentence in enumerate(SENTENCES):
            subprocess.run(
                ["espeak-ng", "-v", "ko", "-s", "180", "-w", folder / f"{i}.wav", sentence],
                check=True,
            )
            rows.writerow([f"{i}.wav", sentence + "."])
    return folder


def test_korean_from_a_folder_of_recordings(recordings, tmp_path, caplog):
    import train

    folder = tmp_path / "korean"
    flags = (
        "--preset quickstart --train_split train --eval_split train --vocabulary data "
        "--hangul jamo --max_steps 60 --learning_rate 1.5e-3 --batch_seconds 10 "
        "--mask_time_prob 0 --warmup_steps 5 --eval_strategy no --save_strategy no "
        "--load_best_model_at_end False --augment none"
    ).split()
    caplog.set_level("INFO", logger="asr_core")
    done = train.main(["--dataset", str(recordings), "--output_dir", str(folder), *flags])
    assert done == 0
    assert "Only 60 steps will be taken" in caplog.text

    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    letters = [token for token in vocabulary if len(token) == 1 and token != "|"]
    assert letters and all(0x1100 <= ord(token) < 0x1200 for token in letters)

    recognizer = Recognizer(str(folder))
    heard = [recognizer.transcribe(recordings / f"{i}.wav").text for i in range(len(SENTENCES))]
    # Four sentences learnt by heart: jamo come out put together, and most of them right.
    assert any(0xAC00 <= ord(c) < 0xD7A4 for c in "".join(heard))
    assert heard == [text.compose(sentence) for sentence in heard]
    assert metrics.cer(heard, SENTENCES) < 0.6
