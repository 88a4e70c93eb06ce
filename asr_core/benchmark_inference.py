"""The guide's call beside ours, file to text, and how fast files of each format are decoded."""

from __future__ import annotations

import io
import math
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from asr_core import audio, data, models, quantization
from asr_core.benchmark import Row, measure
from asr_core.recognizer import Recognizer

RATE = 16_000
CODECS = {"wav": "pcm_s16le", "flac": "flac", "mp3": "mp3", "ogg": "libopus", "mp4": "aac"}
CODEC_RATES = {"ogg": 48_000}
MUSIC_RATE = 44_100  # the others are decoded from CD quality, two channels
DECODED = 120.0  # seconds
MANY = 96  # clips at least, where many are heard together: fewer would not fill the batches
GUIDES_BATCH = 16  # what the guide's readers may pass as `batch_size`, whatever padding does then
SQUARE = 2048  # rows and columns of a matrix that fills all caches
BASE = "wav2vec2-base's shape: "


def measure_all(count: int, rounds: int, compiled: bool = False) -> list[Row]:
    """Every row that one process can measure by itself."""
    rows = [*against_the_guide(count, rounds, compiled), *file_to_text(rounds)]
    if models.hardware().together:  # what a CPU decodes is measured on one by itself
        return rows
    return [*rows, *decoding(rounds)]


@lru_cache
def clips(count: int) -> list[np.ndarray]:
    """Noise of 2 to 20 seconds: the time that a model takes does not depend on what it hears."""
    draw = np.random.default_rng(0)
    return [
        draw.normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
        for seconds in draw.permutation(np.linspace(2, 20, count))
    ]


def against_the_guide(count: int, rounds: int, compiled: bool = False) -> list[Row]:
    """The guide's `pipeline(...)` and ours on wav2vec2-base's shape.

    The guide's runs where it runs for who calls it so: on a GPU, if there is one. All results come
    back to the CPU, so nothing is still under way when the clock is read.
    """
    together = models.hardware().together
    times = math.ceil(MANY / count) if together else 1
    raw = [(RATE, sound) for sound in clips(count)] * times
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, spawn) as elsewhere:
        save_base(Path(folder))

        def guide(batch_size: int) -> None:
            elsewhere.submit(_by_guide, folder, count, times, batch_size).result()

        # In a process of its own: what ours asks of the C library would speed it up, too.
        where = elsewhere.submit(_where_the_guides_runs, folder).result()
        ways = {f"{BASE}the guide's `pipeline(...)` on {where}": partial(guide, 1)}
        if together:
            name = f"{BASE}the guide's with batch_size={GUIDES_BATCH}, which may change words"
            ways |= {name: partial(guide, GUIDES_BATCH)} | _together(folder, raw)
        else:
            ways |= _one_row_each(folder, raw) | _ceiling(folder, count)
        if compiled:
            ways |= _compiled(folder, raw)
        return measure(ways, sum(len(sound) for _, sound in raw) / RATE, rounds)


def _one_row_each(folder: str, sources: list[audio.Source]) -> dict[str, Callable[[], None]]:
    """Ours in each precision in which this processor may be quicker than in the one before."""
    each = [Recognizer(folder, dtype=dtype, language_model="none") for dtype in _on_a_cpu()]
    return {f"{BASE}ours on {one.hardware}": partial(_many, one, sources) for one in each}


def _on_a_cpu() -> list[str]:
    bfloat16 = ["bfloat16"] if models.fast_bfloat16() else []
    return ["float32", *bfloat16, *(["int8"] if quantization.is_possible() else [])]


def _ceiling(folder: str, count: int) -> dict[str, Callable[[], None]]:
    """Nothing but as many products as the model needs, in matrices as large as processors like."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoConfig, AutoModelForCTC

    with torch.device("meta"):
        model = AutoModelForCTC.from_config(AutoConfig.from_pretrained(folder)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for sound in clips(count):
            model(torch.empty(1, len(sound), device="meta"))
    hardware = replace(models.hardware(), int8=False)
    square = torch.randn(SQUARE, SQUARE).to(hardware.dtype)

    def multiply() -> None:
        with torch.inference_mode():
            for _ in range(round(counter.get_total_flops() / (2 * SQUARE**3))):
                square @ square

    return {f"{BASE}its products alone, on {hardware}": multiply}


def _together(folder: str, sources: list[audio.Source]) -> dict[str, Callable[[], None]]:
    """Ours on a GPU, in each precision: batches are formed of many, but not of one at a time."""
    ways: dict[str, Callable[[], None]] = {}
    for dtype in ("float32", "float16", "bfloat16"):
        one = Recognizer(folder, dtype=dtype, language_model="none")
        name = f"{BASE}ours on {one.hardware}: "
        ways[name + "one after the other"] = partial(_one_by_one, one, sources)
        ways[name + "many at once"] = partial(_many, one, sources)
    return ways


def _compiled(folder: str, sources: list[audio.Source]) -> dict[str, Callable[[], None]]:
    """Ours with layers that torch compiles, half a minute before the first: where asked for."""
    import torch

    one = Recognizer(folder, language_model="none")
    name = f"{BASE}ours on {one.hardware}, compiled: many at once"
    try:
        for layer in one.pipeline.model.base_model.encoder.layers:
            layer.compile(dynamic=True)
        _many(one, sources)
    except Exception as error:  # a compiler that is missing, say: the other rows are worth having
        print(f"Without a row for torch.compile of torch {torch.__version__}: {error!r:.300}")
        return {}
    return {name: partial(_many, one, sources)}


@lru_cache
def _guide(folder: str) -> Any:
    from transformers import pipeline

    return pipeline("automatic-speech-recognition", model=folder)


def _where_the_guides_runs(folder: str) -> str:
    guide = _guide(folder)
    return str(models.Hardware(str(guide.device), guide.model.dtype))


def _by_guide(folder: str, count: int, times: int, batch_size: int) -> None:
    guide = _guide(folder)
    # A dictionary each time, as the pipeline takes from it what it reads.
    inputs = ({"raw": sound, "sampling_rate": RATE} for sound in clips(count) * times)
    if batch_size == 1:
        for each in inputs:
            guide(each)
    else:
        for _ in guide([*inputs], batch_size=batch_size):
            pass


def file_to_text(rounds: int) -> list[Row]:
    """The embedded model on the sample's test part, letters only and with its language model.

    One precision after the other: they would push each other's kernels out of oneDNN's cache.
    """
    files = [data.row_source(row) for row in data.load(data.SAMPLE, split="test")]
    seconds = sum(len(audio.load(file, RATE)) for file in files) / RATE
    each = ["auto"] if models.hardware().together else _on_a_cpu()
    rows: list[Row] = []
    for one in (Recognizer(dtype=dtype) for dtype in each):
        name = f"embedded on {one.hardware}, file to text: "
        ways = {
            name + "letters only": partial(_many, one.using(language_model=False), files),
            name + "with its language model": partial(_many, one, files),
        }
        rows += [Row(row.name, row.speed) for row in measure(ways, seconds, rounds)]
    return rows


def decoding(rounds: int) -> list[Row]:
    """Files of each format, two channels, to what a model hears."""
    rows = []
    for name, codec in CODECS.items():
        file = encode(name, codec)
        taken = []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            audio.load(file, RATE)
            taken.append(time.perf_counter() - began)
        name = {"mp4": "m4a"}.get(name, name).upper()
        rows.append(Row(f"decoding and resampling: {name}", DECODED / statistics.median(taken[1:])))
    return rows


def encode(name: str, codec: str) -> bytes:
    """Noise as a file of that format."""
    import av

    rate = CODEC_RATES.get(name, MUSIC_RATE)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, round(DECODED * rate) * 2))
    frame = av.AudioFrame.from_ndarray(noise.astype(np.float32), "flt", "stereo")
    frame.sample_rate = rate
    file = io.BytesIO()
    with av.open(file, "w", format=name) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        context = stream.codec_context
        packer = av.AudioResampler(context.format, "stereo", rate, context.frame_size or 1024)
        for part in (*packer.resample(frame), *packer.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def save_base(folder: Path) -> None:
    """A model of wav2vec2-base's shape, random weights, with the embedded model's letters."""
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    from asr_core.models import EMBEDDED_FOLDER

    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(EMBEDDED_FOLDER)
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    Wav2Vec2ForCTC(Wav2Vec2Config(vocab_size=len(tokenizer))).save_pretrained(folder)


def _one_by_one(recognizer: Recognizer, sources: list[audio.Source]) -> None:
    for source in sources:
        recognizer.transcribe(source)


def _many(recognizer: Recognizer, sources: list[audio.Source]) -> None:
    for _ in recognizer.transcribe_many(sources):
        pass
