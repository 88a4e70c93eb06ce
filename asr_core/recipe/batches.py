"""What the embedded model is trained on: utterances drawn, changed and padded to batches."""

from __future__ import annotations

import io
import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import soundfile
import torch
from transformers import Wav2Vec2Processor

from asr_core import audio, text
from asr_core.augmentation import Augmentation, change_speed, change_voice
from asr_core.collator import DataCollatorCTCWithPadding
from asr_core.errors import DataError
from asr_core.recipe.settings import Recipe
from asr_core.recipe.transplant import frames

log = logging.getLogger("asr_core")

SAMPLE_RATE = 16_000  # Hz
LONGEST = 17.0  # seconds of one utterance
LONG = (17.0, 32.0)  # seconds of what is joined from utterances to be long ...
PIECE = (3.0, 12.0)  # ... and of each of them
FACTORS = (0.85, 1.18)  # of speed and pitch, and of size: a few speakers become many
PAUSES = (0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0)  # seconds in which nobody speaks
# Decibels by which what microphones and lines add to every second utterance lies below it. Noise of
# 30 dB below, as of any telephone, had made half as many mistakes again.
HISS = (10.0, 50.0)
LOW = 100.0  # Hz, below which noise has no more of lower ones
PARTS = 8  # of each file, that are decoded side by side
FULL = 0.85  # of the length of a batch: a shorter utterance is followed by another
SPELLING = text.Spelling(case="upper")
# Shares of the human utterances, by the start of the file's name.
HUMAN_SHARES = {"speechocean762": 0.34, "librispeech": 0.32, "wuw": 0.27, "speech_commands": 0.07}


@dataclass
class Utterance:
    """What one person says in one go."""

    samples: np.ndarray = field(repr=False)  # in 16 bits, as all of them stay in memory
    transcript: str
    start: int = 0  # where its samples begin when all are laid one behind the other

    def __len__(self) -> int:
        return len(self.samples)


class Corpus:
    """Utterances of some parquet files in memory, sorted by duration."""

    def __init__(self, paths: list[Path]) -> None:
        with ProcessPoolExecutor() as workers:
            parts = workers.map(_read, *zip(*product(paths, range(PARTS)), strict=True))
            self.utterances = sorted((one for part in parts for one in part), key=len)
        self.lengths = np.array([len(utterance) for utterance in self.utterances])

    @property
    def hours(self) -> float:
        return self.lengths.sum() / SAMPLE_RATE / 3600

    def draw(self, rng: np.random.Generator, length: int) -> list[Utterance]:
        """An utterance of about `length` samples."""
        middle = np.searchsorted(self.lengths, length)
        reach = max(20, len(self.lengths) // 25)
        index = int(middle + rng.integers(-reach, reach + 1))
        return [self.utterances[min(max(index, 0), len(self.utterances) - 1)]]


class Words(Corpus):
    """Single words, drawn as short sequences, so that no word is learnt as a whole utterance."""

    def draw(self, rng: np.random.Generator, length: int) -> list[Utterance]:
        count = max(1, min(12, round(length / SAMPLE_RATE)))
        return [self.utterances[i] for i in rng.integers(len(self.utterances), size=count)]


def _read(path: Path, part: int) -> list[Utterance]:
    """One of `PARTS` of a file."""
    table = pq.read_table(path, columns=["audio", "transcription"])
    utterances = []
    for row in table.take(np.arange(part, table.num_rows, PARTS)).to_pylist():
        samples = _decode(row["audio"]["bytes"])
        if len(samples) <= LONGEST * SAMPLE_RATE:
            letters = text.normalize(row["transcription"], SPELLING)
            # MP3 and Ogg hold samples beyond 1, which would turn over.
            rounded = (samples.clip(-1, 1) * 32767).astype(np.int16)
            utterances.append(Utterance(rounded, letters))
    return utterances


def _decode(recording: bytes) -> np.ndarray:
    if recording.startswith(b"RIFF"):  # what `synthesize` wrote needs no ffmpeg: minutes are saved
        samples, rate = soundfile.read(io.BytesIO(recording), dtype="float32")
        if rate == SAMPLE_RATE:
            return samples
    return audio.load(recording, SAMPLE_RATE)


class Pauses:
    """Moments in which nobody speaks: who has heard none takes silence for words."""

    def __init__(self) -> None:
        counts = [round(seconds * SAMPLE_RATE) for seconds in PAUSES]
        self.utterances = [Utterance(np.zeros(count, np.int16), "") for count in counts]
        self.hours = 0.0  # of speech

    def between(
        self, drawn: list[Utterance], share: float, rng: np.random.Generator
    ) -> list[Utterance]:
        """`drawn`, in a `share` of places with a pause before, between or after them."""
        heard: list[Utterance] = []
        for utterances in (*([one] for one in drawn), []):
            if rng.random() < share:
                heard.append(self.utterances[rng.integers(len(self.utterances))])
            heard += utterances
        return heard


class Batches(torch.utils.data.Dataset):
    """Batch `index`, made from its number: draws, augments and pads about `batch_seconds`."""

    def __init__(
        self,
        recipe: Recipe,
        processor: Wav2Vec2Processor,
        speech: list[Path],
        synthetic: Path,
        noise: Path,
    ) -> None:
        self.recipe = recipe
        for folder, pattern in ((synthetic, "*.parquet"), (noise, "*.ogg")):
            if not any(folder.glob(pattern)):
                raise DataError(f"There is no {pattern} in {folder}.")
        shards = sorted(synthetic.glob("*.parquet"))
        kokoro = [path for path in shards if path.name.startswith("kokoro")]
        self.synthetic = Corpus([path for path in shards if path not in kokoro] or kokoro)
        self.kokoro = Corpus(kokoro) if kokoro else self.synthetic
        files = {name: [p for p in speech if p.name.startswith(name)] for name in HUMAN_SHARES}
        self.human = [
            (Words if name == "speech_commands" else Corpus)(paths)
            for name, paths in files.items()
            if paths
        ]
        self.pauses = Pauses()
        shares = np.array([HUMAN_SHARES[name] for name, paths in files.items() if paths])
        self.shares = shares / shares.sum() if len(shares) else shares
        noises = [audio.load(path, SAMPLE_RATE) for path in sorted(noise.glob("*.ogg"))]
        self.elsewhere = Augmentation(
            SAMPLE_RATE,
            speed=0,  # changed before, as is the voice
            voice=0,
            microphone=0.25,
            reverberation=0.06,
            noise=0.2,
            telephone=0.4,
            noises=noises,
        )
        self.processor = processor
        self.collate = DataCollatorCTCWithPadding(processor)
        log.info(
            "%.1f h of synthetic speech, %.1f h by Kokoro, %.1f h of human speech, %d noises",
            self.synthetic.hours,
            self.kokoro.hours if kokoro else 0.0,
            sum(corpus.hours for corpus in self.human),
            len(noises),
        )

    def __len__(self) -> int:
        return self.recipe.steps

    @property
    def corpora(self) -> list[Corpus | Pauses]:
        kokoro = [] if self.kokoro is self.synthetic else [self.kokoro]
        return [self.synthetic, *kokoro, *self.human, self.pauses]

    def letters(self, transcript: str) -> list[int]:
        """Its labels; none for what the model cannot write."""
        labels = self.processor.tokenizer(transcript).input_ids
        return [] if self.processor.tokenizer.unk_token_id in labels else labels

    def examples(self, count: int) -> list[torch.Tensor]:
        """Utterances of human speech, or else of synthetic, as the model gets them."""
        rng = np.random.default_rng(self.recipe.seed)
        drawn = []
        for index in range(count):
            corpus = self.human[index % len(self.human)] if self.human else self.synthetic
            drawn.append(self._values(_joined(corpus.draw(rng, 5 * SAMPLE_RATE))[0]))
        return drawn

    def _values(self, samples: np.ndarray) -> torch.Tensor:
        row = self.processor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return row.input_values[0]

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """What the collator makes of it: padded `input_values`, `attention_mask` and `labels`."""
        recipe = self.recipe
        rng = np.random.default_rng((recipe.seed, index))
        length = self.draw_length(rng)
        rows: list[dict] = []
        longest = 0
        while (len(rows) + 1) * longest <= recipe.batch_seconds * SAMPLE_RATE or not rows:
            samples, said = self._spoken(rng, length)
            labels = self.letters(said)
            count = int(frames(torch.tensor(len(samples))))
            if labels and text.frames_needed(labels) < count:
                heard = self._values(self.elsewhere(samples, rng))
                rows.append({"input_values": heard.numpy(), "labels": labels})
                longest = max(longest, len(samples))
        batch = self.collate(rows)
        batch["attention_mask"] = batch["attention_mask"].bool()  # an eighth of what goes to a GPU
        return batch

    def draw_length(self, rng: np.random.Generator) -> int:
        """About how many samples each row of a batch shall have."""
        if rng.random() < self.recipe.long_share:
            return int(rng.uniform(*LONG) * SAMPLE_RATE)
        if rng.random() < 0.3:  # LibriSpeech's sentences are longer than the synthetic ones
            return int(rng.uniform(4, 16) * SAMPLE_RATE)
        return int(self.synthetic.lengths[rng.integers(len(self.synthetic.lengths))])

    def draw(self, rng: np.random.Generator, length: int) -> list[Utterance]:
        """Utterances of one corpus, one after another to about `length` samples, and pauses."""
        corpus = self.synthetic
        if self.human and rng.random() < self.recipe.human_share:
            corpus = self.human[rng.choice(len(self.human), p=self.shares)]
        elif rng.random() < self.recipe.kokoro_share:
            corpus = self.kokoro
        drawn = corpus.draw(rng, _piece(rng, length))
        while (count := sum(map(len, drawn))) < FULL * length:
            drawn += corpus.draw(rng, _piece(rng, length - count))
        return self.pauses.between(drawn, self.recipe.pause_share, rng)

    def _spoken(self, rng: np.random.Generator, length: int) -> tuple[np.ndarray, str]:
        """About `length` samples, at some speed and by some other voice, and their transcript."""
        samples, said = _joined(self.draw(rng, length))
        if rng.random() < 0.8:
            samples = change_speed(samples, rng.uniform(*FACTORS))
        if rng.random() < self.recipe.changed_share:
            samples = change_voice(samples, SAMPLE_RATE, rng.uniform(*FACTORS))
        if rng.random() < 0.5:
            noise = hiss(len(samples), rng) * np.sqrt(np.square(samples).mean())
            samples = samples + noise * np.float32(10 ** (-rng.uniform(*HISS) / 20))
        return samples, said


def hiss(count: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of level 1, between white and pink."""
    frequencies = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    noise = np.fft.irfft(spectrum * np.maximum(frequencies, LOW) ** -rng.uniform(0, 1), count)
    return (noise / np.sqrt(np.square(noise).mean())).astype(np.float32)


def transcript(utterances: list[Utterance]) -> str:
    """What is said in these, one after the other."""
    return " ".join(one.transcript for one in utterances if one.transcript)


def _joined(utterances: list[Utterance]) -> tuple[np.ndarray, str]:
    samples = np.concatenate([utterance.samples for utterance in utterances])
    return samples.astype(np.float32) / 32767, transcript(utterances)


def _piece(rng: np.random.Generator, length: int) -> int:
    """Samples of the next utterance of `length`: long ones are many, not the few longest."""
    if length <= LONGEST * SAMPLE_RATE:
        return length
    return min(length, int(rng.uniform(*PIECE) * SAMPLE_RATE))
