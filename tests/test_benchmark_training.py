"""The comparison with the guide's training: its table, and what prepared data takes on disk."""

from __future__ import annotations

from asr_core import benchmark_training as benchmark


def test_the_table_compares_with_the_first_way():
    rows = [benchmark.Row("guide", 2.0, 0.0), benchmark.Row("ours", 7.0, 0.025)]
    lines = benchmark.table(rows, benchmark.Accuracy(84, 0.9, (0.85, 0.8))).splitlines()
    assert "WER after 84 utterances (0.900 before)" in lines[0]
    assert lines[2:] == [
        "| guide | 2.00 | 1.0 | 0.0% | 0.850 |",
        "| ours | 7.00 | 3.5 | 2.5% | 0.800 |",
    ]


def test_prepared_data_takes_less_than_a_tenth_of_the_guides_lists():
    lists, ours = benchmark.disk()
    assert 0 < ours < lists / 10
