"""Word and character error rates: evaluate's interface, jiwer's arithmetic, no network.

`evaluate.load("wer")` downloads a script from the Hub and runs it (evaluate #475, #486); these
metrics are the same numbers from the same library, at hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate
import jiwer


class _ErrorRate(evaluate.Metric):
    def __init__(self, **options) -> None:
        super().__init__(**{"keep_in_memory": True, **options})

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="Morris, Maier and Green, From WER and RIL to MER and WIL, Interspeech 2004",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
            reference_urls=["https://github.com/jitsi/jiwer"],
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return {self.name: self.rate(predictions, references)}


class WordErrorRate(_ErrorRate):
    """Substitutions, deletions and insertions of words, per word of the references."""

    name = "wer"

    @staticmethod
    def rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
        return wer(hypotheses, references)


class CharacterErrorRate(_ErrorRate):
    """Substitutions, deletions and insertions of characters, per character of the references."""

    name = "cer"

    @staticmethod
    def rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
        return cer(hypotheses, references)


def load(name: str) -> evaluate.Metric:
    """The metric "wer" or "cer", as `evaluate.load` would return it."""
    return {"wer": WordErrorRate, "cer": CharacterErrorRate}[name]()


def wer(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Word error rate over all utterances together: 0.0 is perfect, more than 1.0 is possible."""
    return _rate(jiwer.process_words(list(references), list(hypotheses)))


def cer(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Character error rate over all utterances together."""
    return _rate(jiwer.process_characters(list(references), list(hypotheses)))


def _rate(aligned: jiwer.WordOutput | jiwer.CharacterOutput) -> float:
    errors = aligned.substitutions + aligned.deletions + aligned.insertions
    length = aligned.substitutions + aligned.deletions + aligned.hits
    return errors / length if length else float(errors > 0)
