"""An evaluation as one HTML file: the errors of each utterance to read, and its clip to play.

The file needs nothing beside it: clips are small MP3s inside it, there are no scripts, and a
content security policy keeps the browser from fetching anything.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av

from asr_core import audio, data
from asr_core.errors import AudioError
from asr_core.evaluation import Evaluation
from asr_core.mistakes import align, by_duration, by_speaker, confusions, worst

log = logging.getLogger(__name__)

TEMPLATE = Path(__file__).with_suffix(".html")
CONFUSIONS = 10  # of each kind
UTTERANCES = 200  # shown, worst first
CLIPS = 100  # that can be played, of these
CLIP_SECONDS = 60  # of a recording; 4 kB each
CLIP_RATE = 16_000  # Hz
CLIP_BITS = 32_000  # a second


def render(
    evaluation: Evaluation, rows: Sequence[dict[str, Any]], baseline: Evaluation | None = None
) -> str:
    """The page of `evaluation`, of a model on `rows`; a `baseline` is shown beside it."""
    from jinja2 import Environment, StrictUndefined

    before = {row.index: row for row in baseline.rows} if baseline else {}
    utterances = []
    for place, row in enumerate(worst(evaluation.rows)[:UTTERANCES]):
        old = before.get(row.index)
        utterances.append(
            {
                "row": row,
                "words": align(row.reference, row.hypothesis),
                "baseline": align(old.reference, old.hypothesis) if old else None,
                "clip": _clip(rows, row.index) if place < CLIPS else "",
            }
        )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        evaluation=evaluation,
        models=[baseline, evaluation] if baseline else [evaluation],
        by_duration=by_duration(evaluation.rows),
        by_speaker=by_speaker(evaluation.rows),
        confusions=confusions(evaluation.rows, CONFUSIONS),
        utterances=utterances,
    )


def _clip(rows: Sequence[dict[str, Any]], index: int) -> str:
    """The recording of a row as an address that holds it; empty where it cannot be read."""
    try:
        encoded = encode(data.row_source(rows[index]))
    except AudioError as error:
        log.warning("No clip to play: %s", error)
        return ""
    return "data:audio/mpeg;base64," + base64.b64encode(encoded).decode()


def encode(source: audio.Source | None) -> bytes:
    """The first `CLIP_SECONDS` of a recording as MP3, which every browser plays."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=CLIP_RATE, layout="mono")
        stream.bit_rate = CLIP_BITS
        for frame in _frames(source):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _frames(source: audio.Source | None) -> Iterator[av.AudioFrame]:
    left = CLIP_SECONDS * CLIP_RATE
    for block in audio.Recording(source).blocks(CLIP_RATE):
        if not len(block):  # PyAV makes no frame of nothing
            continue
        frame = av.AudioFrame.from_ndarray(block[None, :left], format="fltp", layout="mono")
        frame.sample_rate = CLIP_RATE
        yield frame
        left -= frame.samples
        if left <= 0:
            return
