"""Which rows are learnt from and which are measured: by speakers, where they are known."""

from __future__ import annotations

from collections import Counter

import pytest
import recordings

from asr_core import data
from asr_core.errors import DataError, OptionError
from asr_core.flags import Options
from asr_core.parts import Parts, load_parts, whole_speakers

KNOWN = {said: who for _, said, who, _ in recordings.ROWS}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def parted(tmp_path):
    def parted(*speakers: str, seed: int = 42, size: float = 0.34) -> Parts:
        """Of the six rows, said by these."""
        rows = [
            (name, said, who, seconds)
            for (name, said, _, seconds), who in zip(recordings.ROWS, speakers, strict=True)
        ]
        path = tmp_path / f"{'-'.join(who or 'nobody' for who in speakers)}.parquet"
        recordings.write_parquet(path, rows)
        return load_parts(Options(dataset=str(path), test_size=size), seed)

    return parted


def transcripts(parts: Parts) -> tuple[list[str], list[str]]:
    return parts.train["transcription"][:], parts.test["transcription"][:]


def test_nobody_who_is_measured_on_is_learnt_from(parted):
    drawn = set()
    for seed in range(5):
        parts = parted("ann", "ben", "ann", "cleo", "ben", "dora", seed=seed)
        train, test = transcripts(parts)
        assert not {*parts.train["speaker"]} & {*parts.test["speaker"]}
        assert sorted(train + test) == sorted(KNOWN)
        assert 2 <= len(test) <= 3  # three were asked for
        assert "other speakers" in parts.note
        drawn.add(frozenset(parts.test["speaker"]))
    assert len(drawn) > 1
    assert transcripts(parted(*"aabbcd")) == transcripts(parted(*"aabbcd"))


@pytest.mark.parametrize("speakers", [("ann",) * 6, ("",) * 6, ("ann", *["ben"] * 5)])
def test_rows_of_too_few_speakers_are_drawn_one_by_one(parted, speakers):
    train, test = transcripts(parted(*speakers))
    assert len(test) == 3 and sorted(train + test) == sorted(KNOWN)
    assert any(transcripts(parted(*speakers, seed=seed)) != (train, test) for seed in (1, 2, 3))


def test_who_is_not_known_may_be_anybody_and_is_learnt_from():
    speakers = ["ann", None, "", "ben", None, 7, 7]
    drawn = [whole_speakers(speakers, wanted=2, seed=seed) for seed in range(9)]
    assert all(chosen and chosen <= {"ann", "ben", 7} for chosen in drawn)


def test_speakers_are_never_more_rows_than_were_asked_for():
    speakers = [f"{n}" for n in range(20) for _ in range(n)]
    rows = Counter(speakers)
    for seed in range(20):
        chosen = whole_speakers(speakers, wanted=38, seed=seed)
        assert 19 <= sum(rows[name] for name in chosen) <= 38


@pytest.mark.parametrize("people", [1, 2, 3])
def test_of_few_people_who_said_much_one_is_measured_on(people):
    speakers = [name for name in "abcd"[:people] for _ in range(50)] + ["e"] * 51
    drawn = [whole_speakers(speakers, wanted=40, seed=seed) for seed in range(9)]
    assert {len(chosen) for chosen in drawn} == {1 if people > 1 else 0}
    assert {*"".join(map("".join, drawn))} <= {*"abcd"}  # not who said more
    assert len({*map(frozenset, drawn)}) > 1 or people == 1


def test_one_row_may_be_asked_for_but_not_all(parted):
    assert len(parted(*"abcdef", size=1).test) == 1
    for speakers in ("abcdef", "aaaaaa"):
        with pytest.raises(OptionError, match="--test_size 6 of 6 rows"):
            parted(*speakers, size=6)


def test_who_speaks_may_be_in_a_column_of_any_name(tmp_path):
    rows = [
        {"file_name": name, "text": said, "spk": who, "Person": f"{said[0]}"}
        for name, said, who, _ in recordings.ROWS
    ]
    path = str(recordings.write_csv(recordings.clips(tmp_path) / "rows.csv", rows))
    assert {*load_parts(Options(dataset=path), seed=0).train["speaker"]} < {"ann", "ben", "cleo"}
    parts = load_parts(Options(dataset=path, speaker_column="person"), seed=0)
    assert {*parts.train["speaker"]} | {*parts.test["speaker"]} == {*"FwPcat"}
    assert "other speakers" in parts.note
    with pytest.raises(DataError, match=r"no column of speakers \('who'\): there are .*_column"):
        load_parts(Options(dataset=path, speaker_column="who"), seed=0)
    with pytest.raises(DataError, match=r"at once \(file_name, text, text\).* --speaker_column"):
        load_parts(Options(dataset=path, speaker_column="text"), seed=0)


def test_rows_without_a_name_are_known_by_their_place_in_the_dataset(parted):
    parts = parted("ann", "ann", "ann", "ann", "ben", "ann", size=1)
    (row,) = parts.test
    assert data.row_name(row | {"audio": {"path": None}}, 0) == "row 4"


def test_a_part_to_measure_on_is_used_where_there_is_one():
    parts = load_parts(Options(dataset=data.SAMPLE), seed=0)
    assert transcripts(parts)[1] == data.load(data.SAMPLE, split="test")["transcription"][:]
    assert parts.note == "measured on its 'test' part (--test_size is not used)"
    parts = load_parts(Options(dataset=data.SAMPLE, train_split="train[:30]"), seed=0)
    assert len(parts.train) + len(parts.test) == 30
