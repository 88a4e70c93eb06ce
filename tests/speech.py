"""Human recordings with what was said in them: the one place to change which clips tests hear.

They are too large to come with the project; where they are missing, tests that need them skip, and
say so. In CI they fail instead.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from asr_core import audio
from asr_core.files import whole

CALLS = Path(__file__).parents[2] / "shared" / "data" / "speech" / "wuw_dev.parquet"


@dataclass(frozen=True)
class Clip:
    """Utterances of one held-out caller, joined; the words that even a small model must find."""

    names: tuple[str, ...]
    words: str

    @property
    def path(self) -> Path:
        if not CALLS.exists():
            return CALLS
        path = Path(tempfile.gettempdir(), f"asr-core-{'-'.join(self.names)}.wav")
        rows = {row["path"]: row["bytes"] for row in pq.read_table(CALLS)["audio"].to_pylist()}
        sound = [audio.load(rows[f"{name}.ogg"], 16_000) for name in self.names]
        with whole(path) as partial:  # other workers may be reading it
            soundfile.write(partial, np.concatenate(sound), 16_000, subtype="PCM_16", format="WAV")
        return path


UPLOADED = Clip(("WUWII00275_006", "WUWII00275_007"), "PLEASE GET ME THE OPERATOR")
SPOKEN = UPLOADED  # into the fake microphone


def need(found: object, reason: str) -> None:
    """Skip the test unless `found`; in CI, where nothing may be missing, fail."""
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def recording(clip: Clip) -> Path:
    need(clip.path.exists(), f"needs a human recording, {clip.path}")
    return clip.path
