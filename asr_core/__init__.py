"""Speech recognition with CTC: fine-tune, measure, transcribe.

For example:

    from asr_core import Recognizer
    print(Recognizer("embedded").transcribe("speech.wav").text)
"""

from __future__ import annotations

import gc

from asr_core.errors import AsrError
from asr_core.transcript import Transcript, Word

__version__ = "0.1.0"
__all__ = ["AsrError", "Recognizer", "Transcript", "Word"]


def __getattr__(name: str):
    # torch and transformers take seconds to import: only what needs a model waits for them.
    if name == "Recognizer":
        return _recognizer()
    raise AttributeError(f"module 'asr_core' has no attribute '{name}'")


def _recognizer() -> type:
    """Imported without looking for garbage among all that is made then: a sixth of the time."""
    collected = gc.isenabled()
    gc.disable()
    try:
        from asr_core.recognizer import Recognizer
    finally:
        if collected:
            gc.enable()
    return Recognizer
