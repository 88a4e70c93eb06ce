"""Synthetic voices: Debian's espeak-ng, flite and festival, SVOX pico, and hibari.

    apt-get install espeak-ng flite festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts
    pip install ttspico hibari-tts

hibari is the one neural voice (a small model of Kokoro's "heart", Apache 2.0) that comes in its
package, and speaks 60 times faster than real time on a core.

`HELD_OUT` voices speak the test part of `sample` and nothing else: whatever is trained here has
never heard them.
"""

from __future__ import annotations

import functools
import io
import random
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from asr_core.errors import DataError

INSTALL = "`apt-get install espeak-ng flite festival`, and what `recipe/voices.py` says."
# flite's pace is another where it has not written out the phonemes itself: what makes up for it.
WRITTEN_OUT = {"kal16": 0.8}
HIGHER = {"slt": 0.8}  # a woman's voice, that shall sometimes be as low as a man's
SAMPLE_RATE = 16_000  # Hz, of everything `speak` returns


@dataclass(frozen=True)
class Voice:
    """One speaker of one engine; `speed` 1.0 and `pitch` 1.0 are the engine's own."""

    engine: str  # one of `SHARES`, or "kokoro"
    name: str
    speed: float = 1.0
    pitch: float = 1.0

    @property
    def speaker(self) -> str:
        return f"{self.engine}/{self.name}"


ACCENTS = "en-us en-gb en-gb-x-rp en-us-nyc en-029 en-gb-x-gbclan en-gb-x-gbcwmd".split()
# All of espeak-ng's but robots, whispers and those of `HELD_OUT`.
VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 f1 f2 f3 f4 klatt klatt2 klatt3 klatt4 klatt5 klatt6 Alex Alicia Andrea "
    "Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen "
    "RicishayMax RicishayMax2 RicishayMax3 Storm Tweaky adam anika announcer antonio aunty belinda "
    "benjamin boris caleb david ed edward edward2 grandma grandpa gustave iven iven2 iven3 iven4 "
    "john kaukovalta linda marcelo max michel miguel norbert pablo paul pedro quincy rob robert "
    "sandro shelby steph steph2 steph3 travis victor zac"
).split()
TRAIN = (
    [Voice("espeak-ng", f"{accent}+{variant}") for accent in ACCENTS for variant in VARIANTS]
    + [Voice("flite", name) for name in ("kal16", "awb", "slt")]
    + [Voice("festival", name) for name in ("kal_diphone", "cmu_us_slt_arctic_hts")]
    + [Voice("pico", name) for name in ("en-US", "en-GB")]
    + [Voice("hibari", "heart")]
)
HELD_OUT = [
    Voice("espeak-ng", "en-gb-scotland+f5"),
    Voice("espeak-ng", "en-gb-scotland+m8"),
    Voice("flite", "rms"),
    Voice("festival", "ked_diphone"),
]
# Of utterances. Of the engines with few voices, those that sound most like people get the most.
SHARES = {"espeak-ng": 0.33, "flite": 0.2, "festival": 0.08, "pico": 0.21, "hibari": 0.18}


def draw(rng: random.Random, voices: list[Voice] = TRAIN) -> Voice:
    """A voice at random, engines by `SHARES`, with a pace and a pitch of its own."""
    engines = sorted({voice.engine for voice in voices})
    engine = rng.choices(engines, [SHARES[name] for name in engines])[0]
    voice = rng.choice([voice for voice in voices if voice.engine == engine])
    return Voice(engine, voice.name, rng.uniform(0.75, 1.2), rng.uniform(0.7, 1.5))


def speak(text: str, voice: Voice) -> np.ndarray:
    """`text` spoken by `voice`: mono float32 of shape (samples,) at `SAMPLE_RATE`.

    Those of `phonemes` are spoken, too, in double brackets: `[[h|@|l|oU w|3:|l|d]]`.
    """
    if voice.engine == "pico":
        samples, rate = _pico(text, voice), SAMPLE_RATE
    elif voice.engine == "hibari":
        samples, rate = _hibari(text, voice)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "speech.wav")
            run = {"espeak-ng": _espeak, "flite": _flite, "festival": _festival}[voice.engine]
            run_program(*run(text, voice, path))
            samples, rate = sf.read(io.BytesIO(path.read_bytes()), dtype="float32")
    return as_heard(samples, rate)


def as_heard(samples: np.ndarray, rate: float) -> np.ndarray:
    """What an engine made at `rate`, at `SAMPLE_RATE` and as loud as all others."""
    samples = soxr.resample(samples, rate, SAMPLE_RATE) if rate != SAMPLE_RATE else samples
    peak = float(np.abs(samples).max(initial=0))
    return samples * (0.5 / peak) if peak else samples


def phonemes(text: str, voice: Voice) -> str:
    """How a `voice` of espeak-ng, flite or hibari would say `text`: see `accents`."""
    if voice.engine == "hibari":
        return "\n".join(map(_apart, _hibari_engine(voice.name).phonemize(text)))
    if voice.engine == "flite":
        command = ["flite", "-voice", voice.name, "-ps", "-t", text, "-o", "none"]
        said = run_program(command, "").split()
        return "|".join(said).replace("|pau|", "\n").replace("pau|", "").replace("|pau", "")
    return run_program(["espeak-ng", "-q", "-x", "--sep=|", "-v", voice.name], text)


def run_program(command: list[str], script: str) -> str:
    """What `command` prints, told `script`. Raises DataError where it is not installed."""
    try:
        made = subprocess.run(command, input=script.encode(), check=True, capture_output=True)
    except FileNotFoundError as error:
        raise DataError(f"{command[0]} is not here: {INSTALL}") from error
    return made.stdout.decode(errors="replace")


def _espeak(text: str, voice: Voice, path: Path) -> tuple[list[str], str]:
    pace, pitch = round(165 * voice.speed), round(50 * voice.pitch)
    return ["espeak-ng", "-v", voice.name, "-s", str(pace), "-p", str(pitch), "-w", str(path)], text


def _flite(text: str, voice: Voice, path: Path) -> tuple[list[str], str]:
    said, pace = ["-t", text], voice.speed
    if text.startswith("[["):
        phones = re.sub(r"\W+", " ", text.replace(",", " pau "))
        said, pace = ["-p", f"pau {phones} pau"], pace * WRITTEN_OUT.get(voice.name, 1.4)
    stretch = f"duration_stretch={1 / pace:.3f}"
    higher = f"f0_shift={voice.pitch * HIGHER.get(voice.name, 1.0):.3f}"
    command = ["flite", "-voice", voice.name, "--setf", stretch, "--setf", higher]
    return [*command, "-o", str(path), *said], ""


def _festival(text: str, voice: Voice, path: Path) -> tuple[list[str], str]:
    script = (
        f"(voice_{voice.name})\n(Parameter.set 'Duration_Stretch {1 / voice.speed:.3f})\n"
        f'(utt.save.wave (utt.synth (Utterance Text "{unquoted(text)}")) "{path}" \'riff)\n'
    )
    return ["festival", "--pipe"], script


def unquoted(text: str) -> str:
    """`text` as it may stand between the quotes of a script of festival's."""
    return text.replace("\\", " ").replace('"', " ")


def _pico(text: str, voice: Voice) -> np.ndarray:
    try:
        from ttspico import TtsEngine  # has no program of its own
    except ImportError as error:
        raise DataError("The voices of pico are not here: `pip install ttspico`.") from error
    engine = TtsEngine(voice.name)
    engine.rate, engine.pitch = round(100 * voice.speed), round(100 * voice.pitch)
    return np.frombuffer(engine.speak(text) or b"", dtype=np.int16).astype(np.float32) / 32768


def _hibari(text: str, voice: Voice) -> tuple[np.ndarray, float]:
    # It has no pitch of its own to set: spoken slower and played faster, the vocal tract gets
    # shorter too, so that one voice becomes those of larger and smaller people.
    shorter = voice.pitch**0.5
    engine, speed = _hibari_engine(voice.name), voice.speed / shorter
    if not text.startswith("[["):
        return engine(text, speed), engine.sample_rate * shorter
    said = [clause.replace("|", "") for clause in text[2:-2].split("]], [[")]
    parts = [engine.from_phonemes(clause, speed) for clause in said]
    return np.concatenate(parts), engine.sample_rate * shorter


def _apart(said: str) -> str:
    """Characters that are one phoneme each, in words."""
    return " ".join(map("|".join, said.split()))


@functools.cache
def _hibari_engine(name: str):
    try:
        from hibari import Hibari
    except ImportError as error:
        raise DataError("The voice of hibari is not here: `pip install hibari-tts`.") from error
    return Hibari(voice=name)
