"""The benchmark's tables say what was measured."""

from __future__ import annotations

import pytest
from tiny import wav2vec2

from asr_core import (
    audio,
    benchmark,
    benchmark_agreement,
    benchmark_inference,
    benchmark_programs,
    models,
)


def test_ratios_compare_the_same_round_and_the_first_round_does_not_count(monkeypatch):
    # The machine halves its speed with every round; "ours" always takes a quarter of the time.
    taken = iter([100.0, 1.0, 4.0, 1.0, 8.0, 2.0, 16.0, 4.0])
    clock = [0.0]
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock[0])

    def work():
        clock[0] += next(taken)

    guide, ours = benchmark.measure({"guide": work, "ours": work}, audio=80.0, rounds=3)
    assert (guide.speed, guide.ratio) == (10.0, 1.0)
    assert (ours.speed, ours.ratio) == (40.0, 4.0)


def test_the_table_is_markdown():
    text = benchmark.table("model", [benchmark.Row("guide", 9.04, 1.0)])
    assert text.splitlines()[-1] == "| guide | 9.0 | 1.00 |"


def test_clips_are_of_2_to_20_seconds():
    sounds = benchmark_inference.clips(10)
    lengths = sorted(len(sound) / benchmark_inference.RATE for sound in sounds)
    assert lengths[0] == 2
    assert lengths[-1] == 20


def test_decoding_has_no_ratio():
    assert benchmark.table("x", [benchmark.Row("WAV", 400.0)]).splitlines()[-1] == (
        "| WAV | 400.0 |  |"
    )


def measured(monkeypatch, together: bool, compiled: bool = False) -> list[str]:
    """Names of what is measured beside the guide's way, with a model that weighs nothing."""
    monkeypatch.setattr(models.Hardware, "together", together)
    monkeypatch.setattr(benchmark_inference, "MANY", 3)
    monkeypatch.setattr(benchmark_inference, "save_base", wav2vec2)
    rows = benchmark_inference.against_the_guide(1, rounds=1, compiled=compiled)
    assert rows[0].ratio == 1
    assert all(row.speed > 0 for row in rows)
    return [row.name.removeprefix(benchmark_inference.BASE) for row in rows[1:]]


@pytest.mark.slow
def test_on_a_gpu_each_precision_is_measured_with_one_and_with_many(monkeypatch):
    names = measured(monkeypatch, together=True)
    assert [name for name in names if "many at once" in name] == [
        f"ours on cpu, {dtype}: many at once" for dtype in ("float32", "float16", "bfloat16")
    ]
    assert sum("one after the other" in name for name in names) == 3


@pytest.mark.slow
def test_on_a_cpu_where_nothing_can_be_compiled_the_other_rows_are_told(monkeypatch, capsys):
    import torch

    def fail(self, **_):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch.nn.Module, "compile", fail)
    names = measured(monkeypatch, together=False, compiled=True)
    ours = [name.startswith("ours on cpu") for name in names]
    assert ours == [True] * (len(names) - 1) + [False]  # and the ceiling
    assert not any("compiled" in name for name in names)
    assert "no compiler here" in capsys.readouterr().out


@pytest.mark.parametrize("name", benchmark_inference.CODECS)
def test_files_to_decode_are_as_long_as_is_said(monkeypatch, name):
    monkeypatch.setattr(benchmark_inference, "DECODED", 3.0)
    file = benchmark_inference.encode(name, benchmark_inference.CODECS[name])
    sound = audio.load(file, benchmark_inference.RATE)
    assert len(sound) / benchmark_inference.RATE == pytest.approx(3.0, abs=0.1)


@pytest.mark.slow
def test_memory_and_agreement_are_measured():
    table = benchmark_programs.memory("embedded", (0.1, 0.2)).splitlines()
    names = [line.split(" | ")[0] for line in table[2:]]
    assert names == ["| 0.1 minutes", "| 0.2 minutes", "| 0.2 minutes in clips of 1 to 20 s"]
    agreement = benchmark_agreement.table("embedded", "sample", 3)
    assert "on sample, 3 utterances" in agreement
    assert agreement.count("%") == 8
    assert "of one processor" in agreement


@pytest.mark.slow
def test_what_is_compared_is_written_alike(monkeypatch):
    """A model may write what no reference holds: an apostrophe that stands at no letter, say."""
    for name in ("_in_one_piece", "_live"):
        way = getattr(benchmark_agreement, name)
        monkeypatch.setattr(benchmark_agreement, name, lambda *a, way=way: f"{way(*a)}'".lower())
    agreement = benchmark_agreement.table("embedded", "sample", 2).splitlines()
    windows, whole = (line.split(" | ")[1] for line in agreement[5:7])
    assert windows == whole != "100.00% |"
    assert "| live captions against the file, 1 talks | 0.00% |" in agreement
