"""The benchmark's tables say what was measured."""

from __future__ import annotations

from asr_core import benchmark, benchmark_inference


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
