"""Long human speech: neither windows nor live captions change what is written down."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jiwer
import numpy as np
import pytest

from asr_core.audio import load

SPEECH = Path(__file__).parents[2] / "shared" / "data" / "speech" / "librispeech_dev.parquet"
RATE = 16_000
MINUTES = 2

pytestmark = pytest.mark.slow


class Talk(NamedTuple):
    sound: np.ndarray
    alone: list[np.ndarray]  # the same, utterance by utterance
    transcript: str


@pytest.fixture(scope="module")
def talk() -> Talk:
    """Human utterances, joined with short pauses."""
    if not SPEECH.exists():
        pytest.skip(f"{SPEECH} is not here: it holds the human speech for this test")
    import pyarrow.parquet as pq

    sound, alone, said = [], [], []
    for row in pq.read_table(SPEECH, columns=["audio", "transcription"]).to_pylist():
        alone.append(load(row["audio"]["bytes"], RATE))
        said.append(row["transcription"].upper())
        sound += [alone[-1], np.zeros(RATE // 3, np.float32)]
        if sum(map(len, sound)) > MINUTES * 60 * RATE:
            break
    return Talk(np.concatenate(sound), alone, " ".join(said))


def test_the_seams_between_windows_cost_nothing(embedded, talk):
    """Letters are heard in windows as well as in utterances, each by itself, or in one piece."""

    def wrong(*pieces: np.ndarray) -> float:
        tokens = [embedded.processor.tokenizer.decode(piece.argmax(axis=1)) for piece in pieces]
        return jiwer.cer(talk.transcript, " ".join(tokens))

    whole = embedded.forward([talk.sound])[0]
    cut = np.concatenate(list(embedded.emissions(iter([talk.sound]))))
    assert len(cut) == len(whole)
    by_itself = wrong(*(embedded.forward([utterance])[0] for utterance in talk.alone))
    assert wrong(cut) < by_itself + 0.02
    assert wrong(cut) < wrong(whole) + 0.005


def test_live_captions_settle_on_the_offline_transcript(embedded, talk):
    minute = talk.sound[: 60 * RATE]
    session = embedded.live()
    for at in range(0, len(minute), RATE // 5):
        caption = session.feed(minute[at : at + RATE // 5], RATE)
    said = session.finish()
    # With another number of threads, certainties differ in their last digits.
    file = embedded.transcribe((RATE, minute))
    assert [(w.text, w.start, w.end) for w in said.words] == [
        (w.text, w.start, w.end) for w in file.words
    ]
    assert said.words[: len(caption.settled)] == caption.settled
    assert caption.settled[-1].end > 45
