"""The comparison with the guide's training: its table, and what prepared data takes on disk."""

from __future__ import annotations

from asr_core import benchmark_training as benchmark


def test_the_table_compares_with_the_first_way():
    rows = [benchmark.Row("guide", 2.0, 0.0), benchmark.Row("ours", 7.0, 0.025)]
    fresh = benchmark.Accuracy("fresh", 1084, 42, (1.0, 0.9), ((1.0, 0.8), (0.9, 0.6)))
    trained = benchmark.Accuracy("trained", 1084, 42, (0.9, 0.5), ((0.85, 0.4), (0.8, 0.3)))
    lines = benchmark.table(rows, [fresh, trained]).splitlines()
    assert "WER / CER after 1,084 utterances, fresh head, on 42 others" in lines[0]
    assert lines[2:] == [
        "| before | | | | 1.000 / 0.900 | 0.900 / 0.500 |",
        "| guide | 2.00 | 1.0 | 0.0% | 1.000 / 0.800 | 0.850 / 0.400 |",
        "| ours | 7.00 | 3.5 | 2.5% | 0.900 / 0.600 | 0.800 / 0.300 |",
    ]


def test_prepared_data_takes_less_than_a_tenth_of_the_guides_lists():
    lists, ours = benchmark.disk()
    assert 0 < ours < lists / 10
