"""A visitor's own sentences and recordings, and the model that learns from them.

A lesson belongs to one visitor. Its recordings and its model lie in a folder of its own and go with
it, and so does all that training writes.
"""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile as sf

from asr_core import audio, page, text
from asr_core.engine import Engine
from asr_core.errors import AudioError, DataError, OptionError
from asr_core.flags import Options
from asr_core.models import EMBEDDED

LEAST = 6  # recordings to begin with
HELD_OUT = 3  # every third recording is not learnt but measured on
REPEATS = 4  # times that each sentence is learnt for once of each of the sample's
RATE = 16_000  # Hz, of recordings as they are kept
LONGEST = Options.longest  # seconds: `train.py` leaves out what is longer
# The preset is for the small embedded model. A large one knows more, learns in smaller steps, and
# would not be done within minutes if it were shown the sample as well.
LARGE = "--freeze feature_encoder --learning_rate 5e-5 --num_train_epochs 5".split()


class Lesson:
    """Sentences to read aloud, recordings of some of them, and the model that learnt from these.

    `model` is the name under which `Engine` has that model, None before there is one.
    """

    def __init__(self, engine: Engine, sentences: Sequence[str]) -> None:
        self.engine = engine
        self.sentences = list(sentences)
        self.clips: dict[int, Path] = {}
        self.base: str | None = ""
        self.model: str | None = None
        self.cancelled = False
        self.process: subprocess.Popen | None = None
        self._home = tempfile.TemporaryDirectory(prefix="asr-lesson-")

    @property
    def folder(self) -> Path:
        return Path(self._home.name)

    def record(self, index: int, path: str, sentence: str, model: str | None = "") -> None:
        """Keep a recording of sentence `index`, which was said as `sentence`, to teach `model`.

        Raises AudioError when it cannot be learnt from, DataError when the sentence cannot.
        """
        if not sentence.strip():
            raise DataError("Write down what is said in the recording.")
        recording, blocks = audio.Recording(path), []
        for block in recording.blocks(RATE):
            blocks.append(block)
            if recording.read > LONGEST:  # hours are not read to the end
                raise AudioError(
                    f"The recording is longer than {LONGEST:g} s: say one sentence only."
                )
        if recording.silent:
            raise AudioError(
                "The recording is silent: check that the right microphone is chosen and not muted."
            )
        samples = np.concatenate(blocks)
        self._check(sentence, len(samples), self.base if model == self.model else model)
        kept = self.folder / f"{index:02}.wav"
        sf.write(kept, samples, RATE, subtype="PCM_16")
        self.clips[index], self.sentences[index] = kept, sentence.strip()

    def _check(self, sentence: str, samples: int, model: str | None) -> None:
        """Raises DataError when `train.py` would leave out the sentence."""
        if any(flag.startswith("--vocabulary") for flag in host_flags()):
            return  # it learns to spell whatever is written
        recognizer = self.engine.recognizer(model)
        tokenizer = recognizer.processor.tokenizer
        transcript = text.normalize(sentence, text.Spelling.of(tokenizer))
        labels = tokenizer(transcript).input_ids if transcript else []
        if not text.is_spelt(labels, tokenizer):
            raise DataError(
                "The model has no letter of this sentence: write it in the model's language, and "
                "numbers as words."
            )
        if text.frames_needed(labels) > recognizer.frames(samples * recognizer.rate // RATE):
            raise DataError(
                f"The sentence is too long for a recording of {samples / RATE:.1f} s: write down "
                "only what is said in it."
            )

    def forget(self, index: int) -> None:
        """Delete the recording of sentence `index`."""
        if index in self.clips:
            self.clips.pop(index).unlink()

    def next(self, index: int) -> int:
        """The sentence to read after `index`: the next without a recording, else `index`."""
        others = [*range(index + 1, len(self.sentences)), *range(index)]
        return next((i for i in others if i not in self.clips), index)

    def parts(self) -> tuple[list[int], list[int]]:
        """Sentences to learn and sentences to measure on, which have no text in common.

        Raises DataError when there are no two of them.
        """
        train, test, learnt = [], [], set()
        for place, index in enumerate(sorted(self.clips)):
            words = " ".join(self.sentences[index].casefold().split())
            held_out = place % HELD_OUT == HELD_OUT - 1
            (test if held_out else train).append((index, words))
            if not held_out:
                learnt.add(words)
        test = [index for index, words in test if words not in learnt]
        if not test:
            raise DataError("All recordings are of the same sentence: say different ones.")
        return [index for index, _ in train], test

    def keep(self, model: Path) -> None:
        """Take over what was just taught, in the place of what was taught before."""
        shutil.rmtree(self.folder / "model", ignore_errors=True)
        self.model = self.engine.lend(model.rename(self.folder / "model"), self.model)

    def cancel(self) -> None:
        """Stop learning at once."""
        self.cancelled = True
        stop(self.process)

    def close(self) -> None:
        """Delete everything."""
        self.cancel()
        if self.model:
            self.engine.forget(self.model)
            self.model = None
        self.clips.clear()
        self._home.cleanup()


def copies(lesson: Lesson, indices: Sequence[int], folder: Path) -> list[page.Sample]:
    """Copies in `folder` of these recordings, and what is said in them.

    A visitor may delete or make again the lesson's own while it is taught, and write other words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [page.Sample(shutil.copy(lesson.clips[i], folder), lesson.sentences[i]) for i in indices]


def write(
    lesson: Lesson, folder: Path, train: list[page.Sample], test: list[page.Sample]
) -> list[str]:
    """A data set of these in `folder`; returns the flags of `train.py` for the lesson."""
    engine, data = lesson.engine, folder / "data"
    base = lesson.base or engine.choice().name
    language_model = engine.recognizer(lesson.base).language_model
    parts = {"train": train * REPEATS, "test": test}
    for part, samples in parts.items():
        (data / part).mkdir(parents=True)
        rows = list(samples)
        if part == "train" and base == EMBEDDED:
            rows += page.samples(data / part, None, part)
        with (data / part / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("file_name", "transcription"), *rows])
    flags = ["--preset", "teach", "--model", base, *([] if base == EMBEDDED else LARGE)]
    flags += ["--dataset", str(data), "--output_dir", str(folder / "model")]
    if language_model:
        flags += ["--language_model", language_model.name]
    return [*flags, *host_flags()]


def host_flags() -> list[str]:
    """More flags of `train.py`, from `ASR_TEACH_FLAGS`. Raises OptionError for a lone quote."""
    flags = os.environ.get("ASR_TEACH_FLAGS", "")
    try:
        return shlex.split(flags)
    except ValueError as error:
        why = str(error).lower()
        raise OptionError(f"ASR_TEACH_FLAGS={flags} cannot be taken apart: {why}.") from error


def zipped(model: Path) -> Path:
    """A zip file with what makes the model work and what describes it."""
    from asr_core import hub

    path = model.with_name("taught-model.zip")
    with zipfile.ZipFile(path, "w") as pack:  # weights do not get smaller
        for name in hub.files(model):
            pack.write(model / name, name)
    return path


def stop(process: subprocess.Popen | None) -> None:
    """End a training at once."""
    if process and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # with all that read recordings for it
        process.wait()
