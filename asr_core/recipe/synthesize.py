"""Text in, synthetic speech out: parquet shards of 16-bit WAV with their transcripts.

Each shard is drawn from its own seed and written under its final name only when whole, so an
interrupted run continues where it stopped.
"""

from __future__ import annotations

import io
import logging
import lzma
import math
import multiprocessing
import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile as sf

from asr_core.errors import DataError, OptionError
from asr_core.files import whole
from asr_core.recipe import accents, foreign, voices
from asr_core.recipe.kokoro import Kokoro

log = logging.getLogger("asr_core")

UTTERANCES_PER_SHARD = 500
# Shares of text files by the start of their names: what people ask a bank, ask a device, say to
# each other, and write. Files named by none of these are left out.
SHARES = {
    "banking77_train": 0.12,
    "nlupp_banking": 0.08,
    "multidogo": 0.06,
    "clinc150": 0.08,
    "hwu64": 0.04,
    "slurp": 0.04,
    "snips": 0.03,
    "taskmaster4": 0.03,
    "sgd_user": 0.06,
    "tatoeba": 0.14,
    "self_dialogue": 0.12,
    "common_voice": 0.06,
    "masc": 0.04,
    "books": 0.10,
}
DIGITS = "ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE OH DOUBLE TEN TWENTY HUNDRED".split()
SPEAKABLE = re.compile(r"[A-Za-z][A-Za-z' ,.?!;:-]*")
WORDS = range(2, 23)  # words of a sentence


def transcript(sentence: str) -> str:
    """The sentence in the model's characters: upper-case letters, apostrophe, single spaces."""
    return " ".join(re.sub(r"[^A-Z' ]+", " ", sentence.upper()).split())


def sentences(folder: Path) -> dict[str, list[str]]:
    """Speakable sentences (letters only: how a voice reads digits is anyone's guess) by source."""
    found: dict[str, list[str]] = {name: [] for name in SHARES}
    for path in sorted(folder.glob("*.txt.xz")):
        name = next((name for name in SHARES if path.name.startswith(name)), None)
        if name is None:
            continue
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                line = line.strip()
                if SPEAKABLE.fullmatch(line) and len(line.split()) in WORDS:
                    found[name].append(line)
    return {name: lines for name, lines in found.items() if lines}


def shard(seed: int, texts: dict[str, list[str]], path: Path, speakers=voices) -> float:
    """Write one shard, spoken by `voices`, `accents`, `foreign` or a `Kokoro`: its seconds."""
    rng = random.Random(seed)
    rows, seconds = [], 0.0
    names = list(texts)
    for index in range(UTTERANCES_PER_SHARD):
        if rng.random() < 0.06:
            text = " ".join(rng.choices(DIGITS, k=rng.randint(3, 8)))
        else:
            text = rng.choice(texts[rng.choices(names, [SHARES[name] for name in names])[0]])
        voice = speakers.draw(rng)
        samples = speakers.speak(text, voice)
        if len(samples) < voices.SAMPLE_RATE // 2:
            continue
        buffer = io.BytesIO()
        sf.write(buffer, samples, voices.SAMPLE_RATE, format="WAV", subtype="PCM_16")
        duration = len(samples) / voices.SAMPLE_RATE
        seconds += duration
        audio = {"bytes": buffer.getvalue(), "path": f"{path.stem}-{index:04d}.wav"}
        rows.append(
            {
                "audio": audio,
                "transcription": transcript(text),
                "speaker_id": voice.speaker,
                "duration": duration,
            }
        )
    with whole(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows), partial, compression="NONE")
    return seconds


def synthesize(
    text: Path,
    output: Path,
    hours: float,
    processes: int | None = None,
    first: int = 0,
    kokoro: Path | None = None,
    accented: bool = False,
    by_foreigners: bool = False,
) -> None:
    """Speak sentences of `text` (a folder of `*.txt.xz`) into `output` until `hours` are there.

    Shards are numbered from `first` on: other numbers are other sentences and other voices. With
    `kokoro`, the folder of its voices, all of it is spoken by these; if `accented`, in `accents`
    that nobody has; if `by_foreigners`, by the voices of `foreign`, without `kokoro`.
    """
    if kokoro and by_foreigners:
        raise OptionError("--kokoro has voices of its own: leave out --foreign, or --kokoro.")
    texts = sentences(text)
    if not texts:
        raise DataError(f"There is no text named like {', '.join(SHARES)} (*.txt.xz) in {text}.")
    if kokoro:
        Kokoro(kokoro)  # what is missing is told here: a pool would begin its processes for ever
    output.mkdir(parents=True, exist_ok=True)
    done = 0.0
    chosen = {"kokoro": kokoro, "foreign": by_foreigners, "accented": accented}
    name = next((name for name, wanted in chosen.items() if wanted), "synthetic")
    with multiprocessing.Pool(processes, _adopt, (texts, name, kokoro, accented)) as pool:
        # Every shard holds about half an hour; ask for a few more and stop when there is enough.
        seeds = range(first, first + math.ceil(hours * 6))
        jobs = [(seed, output / f"{name}-{seed:05d}.parquet") for seed in seeds]
        for seed, seconds in zip(seeds, pool.imap(_shard, jobs), strict=True):
            done += seconds
            log.info("shard %d: %.1f of %.1f hours", seed, done / 3600, hours)
            if done >= hours * 3600:
                break


_texts: dict[str, list[str]] = {}
_speakers: object = voices


def _adopt(texts: dict[str, list[str]], name: str, kokoro: Path | None, accented: bool) -> None:
    global _speakers
    _texts.update(texts)
    known = {"foreign": foreign, "accented": accents}
    _speakers = Kokoro(kokoro, accented) if kokoro else known.get(name, voices)


def _shard(job: tuple[int, Path]) -> float:
    seed, path = job
    if path.exists():
        return sum(pq.read_table(path, columns=["duration"])["duration"].to_pylist())
    return shard(seed, _texts, path, _speakers)
