"""What the embedded model is trained on: utterances drawn, changed and padded to batches."""

from __future__ import annotations

import io
import logging
from concurrent.futures import ProcessPoolExecutor
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
PARTS = 8  # of each file, that are decoded side by side
FULL = 0.85  # of the length of a batch: a shorter utterance is followed by another
SPELLING = text.Spelling(case="upper")
# Shares of the human utterances, by the start of the file's name.
HUMAN_SHARES = {"speechocean762": 0.48, "librispeech": 0.27, "wuw": 0.18, "speech_commands": 0.07}


class Corpus:
    """Utterances of some parquet files in memory, sorted by duration."""

    def __init__(self, paths: list[Path]) -> None:
        with ProcessPoolExecutor() as workers:
            parts = workers.map(_read, *zip(*product(paths, range(PARTS)), strict=True))
            utterances = [utterance for part in parts for utterance in part]
        utterances.sort(key=lambda utterance: len(utterance[0]))
        self.utterances = utterances
        self.lengths = np.array([len(samples) for samples, _ in utterances])

    @property
    def hours(self) -> float:
        return self.lengths.sum() / SAMPLE_RATE / 3600

    def draw(self, rng: np.random.Generator, length: int) -> tuple[np.ndarray, str]:
        """An utterance of about `length` samples."""
        middle = np.searchsorted(self.lengths, length)
        reach = max(20, len(self.lengths) // 25)
        index = int(middle + rng.integers(-reach, reach + 1))
        samples, transcript = self.utterances[min(max(index, 0), len(self.utterances) - 1)]
        return samples.astype(np.float32) / 32767, transcript


def _read(path: Path, part: int) -> list[tuple[np.ndarray, str]]:
    """One of `PARTS` of a file: samples in 16 bits, as all of them stay in memory, and letters."""
    table = pq.read_table(path, columns=["audio", "transcription"])
    utterances = []
    for row in table.take(np.arange(part, table.num_rows, PARTS)).to_pylist():
        samples = _decode(row["audio"]["bytes"])
        if len(samples) <= LONGEST * SAMPLE_RATE:
            letters = text.normalize(row["transcription"], SPELLING)
            # MP3 and Ogg hold samples beyond 1, which would turn over.
            utterances.append(((samples.clip(-1, 1) * 32767).astype(np.int16), letters))
    return utterances


def _decode(recording: bytes) -> np.ndarray:
    if recording.startswith(b"RIFF"):  # what `synthesize` wrote needs no ffmpeg: minutes are saved
        samples, rate = soundfile.read(io.BytesIO(recording), dtype="float32")
        if rate == SAMPLE_RATE:
            return samples
    return audio.load(recording, SAMPLE_RATE)


class Words(Corpus):
    """Single words, drawn as short sequences, so that no word is learnt as a whole utterance."""

    def draw(self, rng: np.random.Generator, length: int) -> tuple[np.ndarray, str]:
        count = max(1, min(12, round(length / SAMPLE_RATE)))
        drawn = [self.utterances[i] for i in rng.integers(len(self.utterances), size=count)]
        samples = np.concatenate([samples for samples, _ in drawn]).astype(np.float32) / 32767
        return samples, " ".join(transcript for _, transcript in drawn)


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
        shares = np.array([HUMAN_SHARES[name] for name, paths in files.items() if paths])
        self.shares = shares / shares.sum() if len(shares) else shares
        noises = [audio.load(path, SAMPLE_RATE) for path in sorted(noise.glob("*.ogg"))]
        self.elsewhere = Augmentation(
            SAMPLE_RATE,
            speed=0,  # changed before
            microphone=0.25,
            reverberation=0.06,
            noise=0.2,
            telephone=0.3,
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

    def examples(self, count: int) -> list[torch.Tensor]:
        """Utterances of human speech, or else of synthetic, as the model gets them."""
        rng = np.random.default_rng(self.recipe.seed)
        drawn = []
        for index in range(count):
            corpus = self.human[index % len(self.human)] if self.human else self.synthetic
            drawn.append(self._values(corpus.draw(rng, 5 * SAMPLE_RATE)[0]))
        return drawn

    def _values(self, samples: np.ndarray) -> torch.Tensor:
        row = self.processor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return row.input_values[0]

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """What the collator makes of it: padded `input_values`, `attention_mask` and `labels`."""
        recipe = self.recipe
        rng = np.random.default_rng((recipe.seed, index))
        length = int(self.synthetic.lengths[rng.integers(len(self.synthetic.lengths))])
        if rng.random() < 0.3:  # LibriSpeech's sentences are longer than the synthetic ones
            length = int(rng.uniform(4, 16) * SAMPLE_RATE)
        if rng.random() < recipe.long_share:
            length = int(rng.uniform(*LONG) * SAMPLE_RATE)
        rows: list[dict] = []
        longest = 0
        while (len(rows) + 1) * longest <= recipe.batch_seconds * SAMPLE_RATE or not rows:
            samples, transcript = self._draw(rng, length)
            labels = self.processor.tokenizer(transcript).input_ids
            unknown = self.processor.tokenizer.unk_token_id in labels
            count = int(frames(torch.tensor(len(samples))))
            if labels and not unknown and text.frames_needed(labels) < count:
                heard = self._values(self.elsewhere(samples, rng))
                rows.append({"input_values": heard.numpy(), "labels": labels})
                longest = max(longest, len(samples))
        batch = self.collate(rows)
        batch["attention_mask"] = batch["attention_mask"].bool()  # an eighth of what goes to a GPU
        return batch

    def _draw(self, rng: np.random.Generator, length: int) -> tuple[np.ndarray, str]:
        """Utterances of one corpus, one after another to about `length` samples, at some speed."""
        corpus = self.synthetic
        if self.human and rng.random() < self.recipe.human_share:
            corpus = self.human[rng.choice(len(self.human), p=self.shares)]
        elif rng.random() < self.recipe.kokoro_share:
            corpus = self.kokoro
        samples, transcript = corpus.draw(rng, _piece(rng, length))
        while len(samples) < FULL * length:
            more, words = corpus.draw(rng, _piece(rng, length - len(samples)))
            samples, transcript = np.concatenate([samples, more]), f"{transcript} {words}"
        if rng.random() < 0.8:
            samples = change_speed(samples, rng.uniform(*FACTORS))
        if rng.random() < 0.5:
            samples = change_voice(samples, SAMPLE_RATE, rng.uniform(*FACTORS))
        return samples, transcript


def _piece(rng: np.random.Generator, length: int) -> int:
    """Samples of the next utterance of `length`: long ones are many, not the few longest."""
    if length <= LONGEST * SAMPLE_RATE:
        return length
    return min(length, int(rng.uniform(*PIECE) * SAMPLE_RATE))
