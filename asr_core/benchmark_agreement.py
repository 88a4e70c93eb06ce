"""Do the words stay the same? What makes it fast and flat, against the plain way, on real speech.

Rates are of words, letters only and no language model, which would hide small differences. Beside
them, what live captions cost: seconds of processors for a second of speech.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import jiwer
import numpy as np

from asr_core import audio, data, evaluation
from asr_core.errors import DataError
from asr_core.recognizer import Recognizer
from asr_core.transcript import joined

PAUSE = 1 / 3  # seconds between two utterances
TALK = 300.0  # seconds of joined utterances, as one file
FEED = 0.2  # seconds that a microphone gives at once


def table(model: str, dataset: str, most: int | None) -> str:
    """Markdown: word error rates on `dataset`, and between two ways on its utterances joined."""
    rows = data.load(dataset, split=data.measured_split(dataset))
    rows = rows.select(range(min(most or len(rows), len(rows))))
    full = Recognizer(model, dtype="float32", language_model="none")
    best = Recognizer(model, language_model="none")
    exact, fast = (evaluation.evaluate(one, rows, dataset) for one in (full, best))
    between = _difference(
        [row.hypothesis for row in exact.rows], [row.hypothesis for row in fast.rows]
    )
    said = {row.index: row.reference for row in fast.rows}
    talks, references = zip(*_talks(rows, best.rate, said), strict=True)
    spell = evaluation.speller(best.processor.tokenizer)  # as the references are
    heard = [spell(best.transcribe((best.rate, talk)).text) for talk in talks]
    wholes = [spell(_in_one_piece(best, talk)) for talk in talks]
    seams = _difference(wholes, heard)
    began = time.process_time()
    captions = [spell(_live(best, talk)) for talk in talks]
    cost = (time.process_time() - began) / (sum(map(len, talks)) / best.rate)
    live = _difference(heard, captions)
    return "\n".join(
        [
            f"| {model} on {dataset}, {exact.utterances} utterances | WER |",
            "| --- | ---: |",
            f"| {full.hardware}, against what was said | {exact.wer:.2%} |",
            f"| {best.hardware}, against what was said | {fast.wer:.2%} |",
            f"| the one against the other | {between:.2%} |",
            f"| joined to {len(talks)} talks, in windows, against what was said "
            f"| {jiwer.wer(list(references), heard):.2%} |",
            f"| the same, each in one piece | {jiwer.wer(list(references), wholes):.2%} |",
            f"| windows against the whole, {len(talks)} talks | {seams:.2%} |",
            f"| live captions against the file, {len(talks)} talks | {live:.2%} |",
            "",
            f"Live captions take {cost:.0%} of one processor's time, while somebody speaks.",
        ]
    )


def _talks(rows, rate: int, said: dict[int, str]) -> Iterator[tuple[np.ndarray, str]]:
    """Utterances joined with short pauses, `TALK` long, the last one shorter; and what they say."""
    talk: list[np.ndarray] = []
    words: list[str] = []
    for index, reference in said.items():
        sound = audio.load(data.row_source(rows[index]), rate)
        talk += [sound, np.zeros(round(PAUSE * rate), np.float32)]
        words.append(reference)
        if sum(map(len, talk)) >= TALK * rate:
            yield np.concatenate(talk), " ".join(words)
            talk, words = [], []
    if talk:
        yield np.concatenate(talk), " ".join(words)


def _in_one_piece(recognizer: Recognizer, talk: np.ndarray) -> str:
    decoder = recognizer.decoder()
    decoder.feed(recognizer.forward([talk])[0])
    return joined(decoder.finish())


def _live(recognizer: Recognizer, talk: np.ndarray) -> str:
    session = recognizer.live()
    step = round(FEED * recognizer.rate)
    for at in range(0, len(talk), step):
        session.feed(talk[at : at + step], recognizer.rate)
    return session.finish().text


def _difference(one: list[str], other: list[str]) -> float:
    """The word error rate of the second against the first."""
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a]
    if not pairs:
        raise DataError("The model wrote down nothing, so there is nothing to compare.")
    return jiwer.wer(*map(list, zip(*pairs, strict=True)))
