"""Human recordings with what was said in them: the one place to change which clips tests hear.

They are too large to come with the project; where they are missing, tests that need them skip, and
say so. In CI they fail instead.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Clip:
    """A recording and the words that even a small model must find in it."""

    file: str
    words: str

    @property
    def path(self) -> Path:
        return FOLDER / self.file


UPLOADED = Clip("smoke/jfk.flac", "AMERICANS ASK WHAT YOUR COUNTRY CAN DO FOR YOU")
SPOKEN = Clip("smoke/jfk.flac", "ASK WHAT COUNTRY CAN DO FOR YOU")  # into the fake microphone


def need(found: object, reason: str) -> None:
    """Skip the test unless `found`; in CI, where nothing may be missing, fail."""
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def recording(clip: Clip) -> Path:
    need(clip.path.exists(), f"needs a human recording, {clip.path}")
    return clip.path
