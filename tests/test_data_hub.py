"""Data sets on the Hub: by id, configuration and slice, and without a connection."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import recordings
from hub import Hub


def client(hub: Hub, home: Path, script: str) -> dict:
    """What `script` puts into `result`, in a process that talks to the stand-in."""
    program = textwrap.dedent(
        """
        import json
        from asr_core import data
        from asr_core.errors import DataError
        result = {}
        def attempt(name, action, *arguments):
            try:
                result[name] = action(*arguments)
            except DataError as error:
                result[name] = f"DataError: {error}"
        """
    )
    program += textwrap.dedent(script) + "\nprint(json.dumps(result))"
    environment = hub.environment(home) | {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0"}
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture
def minds(tmp_path):
    with Hub() as hub:
        english = recordings.write_parquet(tmp_path / "train.parquet", recordings.ROWS * 5)
        korean = recordings.write_parquet(tmp_path / "ko.parquet")
        hub.add_dataset("PolyAI/minds14", {"en-US": {"train": english}, "ko-KR": {"train": korean}})
        yield hub


def test_a_data_set_of_the_hub_by_id_configuration_and_slice(minds, tmp_path):
    result = client(
        minds,
        tmp_path / "home",
        """
        def rows(*arguments):
            loaded = data.load(*arguments)
            return [loaded.column_names, loaded["transcription"][:], data.row_name(loaded[1], 1)]

        attempt("slice", rows, "PolyAI/minds14", "en-US", "train[:20]")
        attempt("splits", data.splits, "PolyAI/minds14", "ko-KR")
        attempt("no configuration", rows, "PolyAI/minds14")
        attempt("other configuration", rows, "PolyAI/minds14", "xx-XX")
        attempt("other split", rows, "PolyAI/minds14", "ko-KR", "test")
        attempt("other dataset", rows, "PolyAI/minds99")
        """,
    )
    transcripts = [row[1] for row in recordings.ROWS]
    assert result["slice"] == [
        ["audio", "transcription", "speaker"],
        (transcripts * 5)[:20],
        "b.wav",
    ]
    assert result["splits"] == ["train"]
    for name in ("no configuration", "other configuration"):
        assert "en-US" in result[name] and "ko-KR" in result[name], result[name]
        assert "--dataset_config" in result[name]
    assert "'xx-XX'" in result["other configuration"]
    assert "'test'" in result["other split"] and "train" in result["other split"]
    assert "PolyAI/minds99" in result["other dataset"]
    assert all("\n" not in value for value in result.values() if isinstance(value, str))


def test_without_a_connection_the_answer_comes_at_once_or_from_the_cache(minds, tmp_path):
    load = 'attempt("rows", lambda: len(data.load("PolyAI/minds14", "ko-KR")))'
    other = 'attempt("other", lambda: len(data.load("PolyAI/minds14", "en-US")))'
    assert client(minds, tmp_path / "home", load) == {"rows": 6}

    minds.fail_after(0)
    minds.requests.clear()
    result = client(minds, tmp_path / "home", f"{load}\n{other}")
    assert result["rows"] == 6
    assert result["other"].startswith("DataError: ") and "minds14" in result["other"]
    # Left alone, the client tries every file five times with pauses, for minutes in all.
    assert len(minds.requests) <= 4, minds.requests
