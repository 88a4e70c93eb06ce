"""Long human speech: neither windows nor live captions change what is written down."""

from __future__ import annotations

from pathlib import Path

import jiwer
import numpy as np
import pytest

from asr_core.audio import load

SPEECH = Path(__file__).parents[2] / "shared" / "data" / "speech" / "librispeech_dev.parquet"
RATE = 16_000
MINUTES = 5

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def talk(embedded) -> np.ndarray:
    """Human utterances, joined with short pauses."""
    if not SPEECH.exists():
        pytest.skip(f"{SPEECH} is not here: it holds the human speech for this test")
    import pyarrow.parquet as pq

    rows = pq.read_table(SPEECH, columns=["audio", "transcription"]).to_pylist()
    said, sound = "", []
    for row in rows:
        sound += [load(row["audio"]["bytes"], RATE), np.zeros(RATE // 3, np.float32)]
        said += f" {row['transcription'].upper()}"
        if sum(map(len, sound)) > MINUTES * 60 * RATE:
            break
    joined = np.concatenate(sound)
    if jiwer.wer(said, embedded.transcribe((RATE, joined)).text) > 0.6:
        pytest.skip("the embedded model does not understand speech well enough to compare by words")
    return joined


def test_the_seams_between_windows_are_invisible(embedded, talk):
    decoder = embedded.decoder()
    decoder.feed(embedded.forward([talk])[0])
    whole = " ".join(word.text for word in decoder.finish())
    assert jiwer.wer(whole, embedded.transcribe((RATE, talk)).text) <= 0.005


def test_live_captions_settle_on_the_offline_transcript(embedded, talk):
    minute = talk[: 60 * RATE]
    session = embedded.live()
    for at in range(0, len(minute), RATE // 5):
        session.feed(minute[at : at + RATE // 5], RATE)
    offline = embedded.transcribe((RATE, minute)).text
    assert jiwer.wer(offline, session.finish().text) <= 0.03
