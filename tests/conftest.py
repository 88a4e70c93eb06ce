from __future__ import annotations

import os

import pytest

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session")
def embedded():
    """The recognizer with the model that comes with the package."""
    from asr_core import Recognizer

    return Recognizer("embedded")
