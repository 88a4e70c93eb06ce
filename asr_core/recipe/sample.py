"""The `sample` data set: the manner of MInDS-14, our own sentences, synthetic voices, a telephone.

Stands in for MInDS-14 (Gerz et al., 2021, https://arxiv.org/abs/2104.08524) where there is no
network: same columns, same labels, 8 kHz. Sentences and voices of the test part occur nowhere else.
"""

from __future__ import annotations

import io
import logging
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from scipy.signal import butter, sosfiltfilt

from asr_core.recipe import sentences, voices

log = logging.getLogger("asr_core")

SAMPLE_RATE = 8_000  # Hz, as MInDS-14
BAND = butter(4, (300, 3400), btype="bandpass", fs=SAMPLE_RATE, output="sos")  # of a telephone, Hz
SIGNAL_TO_NOISE = (18, 30)  # dB
LEVEL = (-30, -24)  # RMS of speech, dB of full scale
INTENTS = list(sentences.TRAIN)
LANGUAGES = (
    "cs-CZ de-DE en-AU en-GB en-US es-ES fr-FR it-IT ko-KR nl-NL pl-PL pt-PT ru-RU zh-CN"
).split()
SEEDS = {"train": 14, "test": 41}


def telephone(samples: np.ndarray, rng: np.random.Generator) -> bytes:
    """A FLAC file: speech at `voices.SAMPLE_RATE` as it comes down a noisy line (G.711 mu-law)."""
    speech = sosfiltfilt(BAND, soxr.resample(samples, voices.SAMPLE_RATE, SAMPLE_RATE))
    noise = sosfiltfilt(BAND, rng.standard_normal(len(speech)))
    speech *= _gain(rng.uniform(*LEVEL)) / _rms(speech)
    noise *= _rms(speech) / _rms(noise) * _gain(-rng.uniform(*SIGNAL_TO_NOISE))
    line = _encode(speech + noise, "WAV", "ULAW")
    heard, _ = sf.read(io.BytesIO(line), dtype="int16")
    return _encode(heard, "FLAC", "PCM_16")


def _encode(samples: np.ndarray, container: str, subtype: str) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, SAMPLE_RATE, format=container, subtype=subtype)
    return file.getvalue()


def _gain(decibels: float) -> float:
    return 10 ** (decibels / 20)


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def rows(part: str) -> Iterator[dict]:
    """Rows of the "train" or the "test" part; their order and sound depend on the seed alone."""
    rng, noise = random.Random(SEEDS[part]), np.random.default_rng(SEEDS[part])
    texts = sentences.TRAIN if part == "train" else sentences.TEST
    spoken = [(intent, sentence) for intent in INTENTS for sentence in texts[intent]]
    rng.shuffle(spoken)
    for index, (intent, sentence) in enumerate(spoken):
        if part == "train":
            voice = voices.draw(rng)
        else:  # all held-out voices speak equally often
            voice = voices.draw(rng, [voices.HELD_OUT[index % len(voices.HELD_OUT)]])
        if voice.engine == "flite":  # which spoke these at its own pitch
            voice = replace(voice, pitch=1 / voices.HIGHER.get(voice.name, 1.0))
        speaker = voice.speaker.replace("/", "-")
        path = f"en-US~{intent.upper()}/{speaker}-{index:04d}.flac"
        yield {
            "path": path,
            "audio": {"bytes": telephone(voices.speak(sentence, voice), noise), "path": path},
            "transcription": sentence,
            "english_transcription": sentence,
            "intent_class": INTENTS.index(intent),
            "lang_id": LANGUAGES.index("en-US"),
        }


def make_sample(output: Path) -> None:
    """Write `train.parquet` and `test.parquet` into the folder `output`."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Audio, ClassLabel, Features, Value

    features = Features(
        path=Value("string"),
        audio=Audio(sampling_rate=SAMPLE_RATE),
        transcription=Value("string"),
        english_transcription=Value("string"),
        intent_class=ClassLabel(names=INTENTS),
        lang_id=ClassLabel(names=LANGUAGES),
    )
    output.mkdir(parents=True, exist_ok=True)
    for part in SEEDS:
        table = pa.Table.from_pylist(list(rows(part)), schema=features.arrow_schema)
        path = output / f"{part}.parquet"
        pq.write_table(table, path, compression="NONE")
        log.info("%s: %d utterances, %d kB", path, table.num_rows, path.stat().st_size // 1000)
