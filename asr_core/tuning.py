"""Find the weights of a language model on recordings whose words are known.

Tune on recordings that neither the acoustic model nor the language model has learnt from, and
measure on yet others: a model is too sure of what it was trained on, and wants too small an alpha.
Where there are no others, let the recordings be changed (`augment`) until it is less sure.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_core import data, metrics, text
from asr_core.audio import Recording
from asr_core.decoding import Alphabet, Decoder, GreedyDecoder
from asr_core.errors import AsrError, DataError
from asr_core.language_model import LanguageModel, Weights
from asr_core.transcript import joined

if TYPE_CHECKING:
    from asr_core.recognizer import Recognizer

log = logging.getLogger(__name__)

# Tried one weight after the other, the others held, until nothing gets better.
GRID = {
    "alpha": (0.15, 0.25, 0.35, 0.45, 0.55, 0.7, 0.85, 1.0, 1.2),
    "beta": (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0),
    "unknown": (-10.0, -7.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0),
    "letter": (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0),
    "prior": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
}
ROUNDS = 3


@dataclass(frozen=True)
class Heard:
    """Recordings as the model hears them, kept so that every choice of weights is quickly tried."""

    emissions: list[np.ndarray]
    references: list[str]
    audio_seconds: float
    forward_seconds: float


@dataclass(frozen=True)
class Tuning:
    """What was found, and what it costs and brings on the recordings it was found on."""

    weights: Weights
    heard: dict[str, float]  # see `LanguageModel`
    wer: float
    greedy_wer: float
    default_wer: float
    utterances: int
    audio_seconds: float
    decoding_share: float  # seconds of decoding for each second of the model's forward pass

    def __str__(self) -> str:
        return (
            f"WER {self.greedy_wer:.3f} without, {self.default_wer:.3f} before tuning, "
            f"{self.wer:.3f} after, on {self.utterances} utterances "
            f"({self.audio_seconds / 60:.1f} minutes); decoding adds {self.decoding_share:.0%} to "
            "the time of the model's forward pass"
        )


def listen(
    recognizer: Recognizer,
    rows: Iterable[dict[str, Any]],
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
) -> Heard:
    """The emissions of all `rows` (of `data.load`) that have a transcript and can be read.

    `augment` changes their samples first, the same way each time (see `augmentation.of`). Raises
    DataError when there are none.
    """
    spelling = text.Spelling.of(recognizer.processor.tokenizer)
    emissions, references, seconds, forward = [], [], 0.0, 0.0
    for index, row in enumerate(rows):
        reference = text.normalize(row["transcription"] or "", spelling)
        if not reference:
            continue
        name = data.row_name(row, index)
        recording = Recording(data.row_source(row), name=name)
        try:
            blocks = list(recording.blocks(recognizer.rate))
        except AsrError as error:
            log.warning("%s was left out: %s", name, error)
            continue
        for warning in recording.warnings:  # it may not say all of its transcript
            log.warning("%s", warning)
        if augment:
            blocks = [augment(np.concatenate(blocks), np.random.default_rng(index))]
        began = time.perf_counter()
        emissions.append(np.concatenate(list(recognizer.emissions(blocks))))
        forward += time.perf_counter() - began
        references.append(reference)
        seconds += recording.read
    if not references:
        raise DataError("There is nothing to tune on: no row has a transcript and a recording.")
    return Heard(emissions, references, seconds, forward)


def tune(
    recognizer: Recognizer,
    language_model: LanguageModel,
    heard: Heard,
    progress: Callable[[str], None] = log.info,
) -> Tuning:
    """The weights with the lowest word error rate on `heard`; the beam is left as it is.

    Raises ModelError when the language model was made for another alphabet.
    """
    from asr_core.beam import BeamDecoder
    from asr_core.lexicon import Vocabulary

    before = language_model
    language_model = replace(before, heard=shares(recognizer.alphabet, heard.emissions))
    frame = recognizer.hop / recognizer.rate
    spelling = text.Spelling.of(recognizer.processor.tokenizer)

    def measure(make: Callable[[], Decoder]) -> tuple[float, float]:
        """(word error rate, seconds)"""
        began = time.perf_counter()
        decoded = []
        for emissions in heard.emissions:
            decoder = make()
            decoder.feed(emissions)
            decoded.append(decoder.finish())
        seconds = time.perf_counter() - began
        said = [text.normalize(joined(words), spelling) for words in decoded]
        return metrics.wer(said, heard.references), seconds

    def with_model(language_model: LanguageModel) -> tuple[float, float]:
        known = Vocabulary.of(recognizer.alphabet, language_model)
        return measure(lambda: BeamDecoder(known, frame))

    def with_weights(weights: Weights) -> tuple[float, float]:
        return with_model(replace(language_model, weights=weights))

    greedy, _ = measure(lambda: GreedyDecoder(recognizer.alphabet, frame))
    weights = language_model.weights
    default, best = with_model(before)[0], with_weights(weights)[0]
    progress(f"WER {greedy:.4f} without a language model, {best:.4f} with {_short(weights)}")
    tried = {weights: best}
    for _ in range(ROUNDS):
        last = weights
        for name, values in GRID.items():
            for value in values:
                candidate = replace(weights, **{name: value})
                if candidate not in tried:
                    tried[candidate] = with_weights(candidate)[0]
            weights = min(
                (c for c in tried if replace(c, **{name: 0.0}) == replace(weights, **{name: 0.0})),
                key=tried.__getitem__,
            )
            progress(f"WER {tried[weights]:.4f} with {_short(weights)}")
        if weights == last:
            break
    best, seconds = with_weights(weights)
    return Tuning(
        weights,
        language_model.heard,
        best,
        greedy,
        default,
        len(heard.references),
        heard.audio_seconds,
        seconds / heard.forward_seconds,
    )


def shares(alphabet: Alphabet, emissions: Iterable[np.ndarray]) -> dict[str, float]:
    """How much of all that is heard each token makes up; the blank is ""."""
    mean = np.exp(np.concatenate(list(emissions))).mean(axis=0, dtype=np.float64)
    columns = [i for i, token in enumerate(alphabet.tokens) if token or i == alphabet.blank]
    return {alphabet.tokens[i]: round(float(mean[i]), 5) for i in columns}


def _short(weights: Weights) -> str:
    return ", ".join(f"{name} {getattr(weights, name):g}" for name in GRID)
