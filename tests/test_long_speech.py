"""Long human speech: neither windows nor live captions change what is written down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_core.audio import load

SPEECH = Path(__file__).parents[2] / "shared" / "data" / "speech" / "librispeech_dev.parquet"
RATE = 16_000
MINUTES = 1

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def talk(embedded) -> np.ndarray:
    """Human utterances, joined with short pauses."""
    if not SPEECH.exists():
        pytest.skip(f"{SPEECH} is not here: it holds the human speech for this test")
    import pyarrow.parquet as pq

    rows = pq.read_table(SPEECH, columns=["audio"]).to_pylist()
    sound = []
    for row in rows:
        sound += [load(row["audio"]["bytes"], RATE), np.zeros(RATE // 3, np.float32)]
        if sum(map(len, sound)) > MINUTES * 60 * RATE:
            break
    return np.concatenate(sound)


def test_the_seams_between_windows_are_invisible(embedded, talk):
    """Letters that the model is sure of are the same in windows and in one piece.

    Those it is not sure of change with any breath; what a window must not do is to change others.
    """
    minute = talk[: 60 * RATE]
    whole = embedded.forward([minute])[0]
    cut = np.concatenate(list(embedded.emissions(iter([minute]))))
    assert len(cut) == len(whole)
    sure = whole.max(axis=1) > np.log(0.9)
    assert sure.mean() > 0.2
    assert (whole.argmax(axis=1) == cut.argmax(axis=1))[sure].mean() > 0.99


def test_live_captions_settle_on_the_offline_transcript(embedded, talk):
    minute = talk[: 60 * RATE]
    session = embedded.live()
    for at in range(0, len(minute), RATE // 5):
        caption = session.feed(minute[at : at + RATE // 5], RATE)
    said = session.finish()
    assert said.words == embedded.transcribe((RATE, minute)).words
    assert said.words[: len(caption.settled)] == caption.settled
    assert caption.settled[-1].end > 45
