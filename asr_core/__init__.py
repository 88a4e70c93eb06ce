"""Speech recognition with CTC: fine-tune, measure, transcribe.

For example:

    from asr_core import Recognizer
    print(Recognizer("embedded").transcribe("speech.wav").text)
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["AsrError", "Recognizer", "Transcript", "Word"]


def __getattr__(name: str):
    # torch and transformers take seconds to import: only what needs a model waits for them.
    if name == "Recognizer":
        from asr_core.recognizer import Recognizer

        return Recognizer
    if name == "AsrError":
        from asr_core.errors import AsrError

        return AsrError
    if name in ("Transcript", "Word"):
        from asr_core import transcript

        return getattr(transcript, name)
    raise AttributeError(f"module 'asr_core' has no attribute '{name}'")
