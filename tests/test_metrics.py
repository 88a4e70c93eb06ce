"""WER and CER through evaluate's interface, computed by jiwer, without a network."""

from __future__ import annotations

import random
import socket

import jiwer
import pytest

from asr_core import metrics

PAIRS = [  # reference, hypothesis, WER, CER
    ("the cat sat", "the cat sat", 0.0, 0.0),
    ("the cat sat", "the bat sat", 1 / 3, 1 / 11),
    ("the cat sat", "the sat", 1 / 3, 4 / 11),
    ("the cat sat", "", 1.0, 1.0),
    ("yes", "oh yes indeed", 2.0, 10 / 3),  # more wrong words than there are words
    ("안녕 하세요", "안녕 하세오", 1 / 2, 1 / 6),
    ("two  spaces", "two spaces", 0.0, 1 / 11),
]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(self, address):
        raise AssertionError(f"a metric wants the network: {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(("reference", "hypothesis", "wer", "cer"), PAIRS)
def test_rates_are_errors_per_word_and_per_character(reference, hypothesis, wer, cer):
    assert metrics.wer([hypothesis], [reference]) == pytest.approx(wer)
    assert metrics.cer([hypothesis], [reference]) == pytest.approx(cer)


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_the_interface_is_that_of_evaluate(name):
    references, hypotheses = [list(column) for column in list(zip(*PAIRS, strict=True))[:2]]
    expected = getattr(jiwer, name)(references, hypotheses)

    metric = metrics.load(name)
    assert metric.compute(predictions=hypotheses, references=references) == {name: expected}

    for start in (0, 3):
        metric.add_batch(
            predictions=hypotheses[start : start + 3], references=references[start : start + 3]
        )
    metric.add(prediction=hypotheses[6], reference=references[6])
    assert metric.compute() == {name: expected}
    assert metric.name == name


def test_rates_are_of_all_utterances_together_and_not_means_of_rates():
    references, hypotheses = ["a", "b c d e f g h i j"], ["x", "b c d e f g h i j"]
    assert metrics.wer(hypotheses, references) == pytest.approx(1 / 10)


def test_silence_that_is_heard_as_silence_has_no_errors():
    assert metrics.wer([""], [""]) == 0.0
    assert metrics.cer(["word"], [""]) == 1.0
    assert metrics.wer(["a", ""], ["a", ""]) == 0.0
    # An insertion into silence counts among the words of the others.
    assert metrics.wer(["a", "b"], ["a", ""]) == 1.0


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError):
        metrics.load("wer").compute(predictions=["a", "b"], references=["a"])


def test_rates_agree_with_jiwer_on_random_sentences():
    draw = random.Random(0)

    def sentence() -> str:
        return " ".join(draw.choices("one two three four five".split(), k=draw.randint(1, 9)))

    references, hypotheses = [[sentence() for _ in range(50)] for _ in range(2)]
    assert metrics.wer(hypotheses, references) == jiwer.wer(references, hypotheses)
    assert metrics.cer(hypotheses, references) == jiwer.cer(references, hypotheses)
