"""The commands: exit status, and one sentence for what is wrong before any work is done."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import recordings
import tiny

import asr_core.__main__ as commands
import train
from asr_core import transcribe_command
from asr_core.errors import AsrError, AudioError
from asr_core.transcript import Transcript, Word

ROOT = Path(__file__).parents[1]
LONG_NAME = "가" * 90  # 270 bytes, where file systems take 255


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny.wav2vec2(tmp_path_factory.mktemp("model"), norm="layer"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = recordings.clips(tmp_path_factory.mktemp("clips"))
    recordings.write_csv(folder / "metadata.csv", recordings.records())
    return folder


@pytest.fixture
def run(capsys):
    """The exit status, standard output and standard error of a command."""

    def run(*arguments) -> tuple[int, str, str]:
        try:
            status = commands.main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return run


def complaint(errors: str) -> str:
    """The one line among `errors` that says what is wrong."""
    assert "Traceback" not in errors
    (line,) = [line for line in errors.splitlines() if line.startswith("asr_core ")]
    return line


# --- transcribe ---


def test_transcribe_prints_one_transcript_a_file(run, model, folder):
    status, out, errors = run("transcribe", folder / "a.wav", folder / "b.wav", "--model", model)
    assert status == 0
    assert len(out.splitlines()) == 2
    assert "Loading weights" not in errors  # a bar for what takes a moment


class Told:
    """A recognizer of recordings named for what is to come of them."""

    def transcribe_many(self, sources, return_errors):
        assert return_errors
        for source in sources:
            name = Path(source).name
            words = (Word("HELLO", 0.0, 0.4, 1.0), Word("THERE", 0.5, 1.0, 1.0))
            if name == "broken.wav":
                yield AudioError("broken.wav is not audio.")
            else:
                yield Transcript(() if name == "silent.wav" else words, 1.0, name)


def test_what_is_printed_of_several_files_can_be_told_apart(run, monkeypatch):
    monkeypatch.setattr(transcribe_command, "recognizer_of", lambda options, model: Told())
    files = ("a/talk.wav", "silent.wav", "broken.wav", "b/talk.wav")
    status, out, errors = run("transcribe", *files)
    assert status == 1
    assert out == "a/talk.wav: HELLO THERE\nsilent.wav: \nb/talk.wav: HELLO THERE\n"
    assert "broken.wav" in complaint(errors)
    assert run("transcribe", files[0])[1] == "HELLO THERE\n"  # alone as it was

    _, out, _ = run("transcribe", *files, "--format", "json")
    objects = [json.loads(line) for line in out.splitlines()]
    assert [each["path"] for each in objects] == list(files)
    assert [each.get("text") for each in objects] == ["HELLO THERE", "", None, "HELLO THERE"]
    assert objects[2]["error"] == "broken.wav is not audio."


def test_a_name_of_two_lines_is_printed_on_one(run, monkeypatch):
    class Ear:
        def transcribe_many(self, sources, return_errors):
            for source in sources:
                yield Transcript((Word("HELLO", 0.0, 0.5, 1.0),), 1.0, source)

    monkeypatch.setattr(transcribe_command, "recognizer_of", lambda options, model: Ear())
    files = ["a\nb.wav: \x1b[2Jmine\u2028.wav", "회의 록.wav"]
    _, out, _ = run("transcribe", *files)
    assert out == "a\\nb.wav: \\x1b[2Jmine\\u2028.wav: HELLO\n회의 록.wav: HELLO\n"
    _, out, _ = run("transcribe", *files, "--format", "json")
    assert [json.loads(line)["path"] for line in out.split("\n")[:-1]] == files
    assert complaint(run("transcribe", files[0], ROOT / "tests")[2]).endswith("by itself.")
    errors = run("transcribe", "--output_dir", "out", "a/c\nd.wav", "b/c\nd.wav")[2]
    assert "named c\\nd.wav: " in complaint(errors)


def test_where_there_is_no_standard_input_it_is_told(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    status, printed, errors = run("transcribe", "-")
    assert (status, printed) == (1, "")
    assert "There is no standard input" in complaint(errors)


def test_a_recording_may_come_from_standard_input(run, model, folder, monkeypatch):
    _, expected, _ = run("transcribe", folder / "a.wav", "--model", model)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper((folder / "a.wav").open("rb")))
    status, out, _ = run("transcribe", "-", "--model", model)
    assert (status, out) == (0, expected)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper((folder / "a.wav").open("rb")))
    status, _, _ = run("transcribe", "-", "--model", model, "--output_dir", folder / "texts")
    assert (status, (folder / "texts" / "stdin.txt").read_text()) == (0, expected)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper((folder / "a.wav").open("rb")))
    status, _, errors = run("transcribe", "-", "--model", model, "--output_dir", folder / "texts")
    assert status == 1
    assert "holds a transcript of standard input already" in complaint(errors)


@pytest.mark.parametrize("format", ["srt", "vtt", "tsv"])
def test_several_files_do_not_run_into_one(run, folder, format):
    status, out, errors = run("transcribe", folder / "a.wav", folder / "b.wav", "--format", format)
    assert (status, out) == (1, "")
    assert "--output_dir" in complaint(errors)


def test_json_of_transcribe_holds_what_a_transcript_holds(run, model, folder, tmp_path):
    status, _, _ = run(
        *("transcribe", folder / "a.wav", "--model", model, "--format", "json"),
        *("--output_dir", tmp_path / "new"),
    )
    assert status == 0
    written = json.loads((tmp_path / "new" / "a.json").read_text())
    assert {"text", "words", "duration", "source", "complete", "warnings"} <= set(written)
    assert written["duration"] == pytest.approx(1.2, abs=0.01)
    assert written["text"] == " ".join(word["text"] for word in written["words"])


def test_a_bad_file_among_good_ones_is_named_and_the_rest_goes_on(run, model, folder, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"not a recording")
    status, out, errors = run(
        "transcribe", folder / "a.wav", broken, folder / "b.wav", "--model", model
    )
    assert status == 1
    assert len(out.splitlines()) == 2
    assert "broken.wav" in complaint(errors)


def test_two_files_of_one_name_do_not_overwrite_each_other(run, folder, tmp_path):
    other = tmp_path / "a.wav"
    other.write_bytes(recordings.sound(1.0))
    status, _, errors = run("transcribe", folder / "a.wav", other, "--output_dir", tmp_path / "out")
    assert status == 1
    assert "a.wav" in complaint(errors)
    assert not (tmp_path / "out").exists()


# --- evaluate ---


def test_evaluate_writes_numbers_and_a_page(run, model, folder, tmp_path):
    status, out, _ = run(
        *("evaluate", "--model", model, "--baseline", model, "--dataset", folder),
        *("--max_samples", 4, "--json", tmp_path / "new/e.json", "--html", tmp_path / "e.html"),
    )
    assert status == 0
    numbers = json.loads((tmp_path / "new/e.json").read_text())
    assert {"wer", "cer", "utterances", "audio_seconds", "seconds"} <= set(numbers)
    assert numbers["utterances"] == len(numbers["rows"]) == 4
    assert numbers["audio_seconds"] == pytest.approx(1.2 + 2.4 + 1.6 + 2.0, abs=0.01)
    assert numbers["baseline"]["wer"] == numbers["wer"]
    assert f"WER {numbers['wer']:.3f}" in out
    page = (tmp_path / "e.html").read_text()
    assert page.count("<audio") == 4 and "FREEZE" in page


def test_who_speaks_may_be_in_a_column_of_any_name(run, model, tmp_path):
    records = [record | {"reader": "ann"} for record in recordings.records()]
    table = recordings.write_csv(recordings.clips(tmp_path) / "rows.csv", records)
    command = ("evaluate", "--model", model, "--dataset", table, "--max_samples", 1)
    status, *_ = run(*command, "--speaker_column", "reader", "--json", tmp_path / "e.json")
    assert status == 0
    (group,) = json.loads((tmp_path / "e.json").read_text())["by_speaker"]
    assert group["name"] == "ann"
    status, _, errors = run(*command, "--audio_column", "transcription")
    assert status == 1
    assert "choose with --audio_column or --text_column. There are" in complaint(errors)


def test_evaluate_takes_the_split_that_is_asked_for(run, model, tmp_path):
    status, _, _ = run(
        *("evaluate", "--model", model, "--dataset", "sample", "--split", "train[:3]"),
        *("--json", tmp_path / "e.json"),
    )
    assert status == 0
    assert json.loads((tmp_path / "e.json").read_text())["utterances"] == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("transcribe nothing.wav", ["nothing.wav", "does not exist"]),
        ("transcribe https://x.org/talk.wav", ["talk.wav", "https://x.org", "download it first"]),
        ("transcribe a.wav --model no/such/model/here", ["no/such/model/here"]),
        ("transcribe a.wav --device tpu", ["'tpu'", "cpu"]),
        ("transcribe a.wav --device cpu:x", ["'cpu:x'", "cpu"]),
        ("transcribe a.wav --device cuda:99", ["'cuda:99'", "cpu"]),
        ("transcribe a.wav --dtype int4", ["'int4'", "float32"]),
        ("evaluate --dataset nothing.csv", ["nothing.csv", "does not exist"]),
        ("evaluate --dataset sample --split later", ["'later'", "train", "test"]),
        ("evaluate --dataset sample --max_samples 0", ["--max_samples 0", "at least 1"]),
        ("evaluate --dataset sample --text_column words", ["'words'", "transcription"]),
        ("evaluate --dataset sample --json /proc/none/e.json", ["/proc/none cannot be written"]),
        ("evaluate --dataset sample --html /tmp", ["/tmp", "it is a folder"]),
        ("benchmark inference --rounds 0", ["--rounds 0", "at least 1"]),
        ("benchmark inference --clips -1", ["--clips -1", "at least 1"]),
        ("benchmark agreement --max_samples 0", ["--max_samples 0", "at least 1"]),
        ("benchmark memory --minutes nan", ["--minutes nan", "as in 180"]),
        ("transcribe a.wav --language_model ~/none", ["holds no language model"]),
        (f"transcribe {LONG_NAME}.wav", ["가가가", "file name too long"]),
        (f"evaluate --dataset {LONG_NAME}", ["가가가", "file name too long"]),
    ],
)
def test_what_is_wrong_is_one_sentence(run, model, monkeypatch, folder, arguments, expected):
    monkeypatch.chdir(folder)
    command, *rest = arguments.split()
    status, _, errors = run(command, "--model", model, *rest)
    assert status == 1
    line = complaint(errors)
    for part in expected:
        assert part in line


@pytest.mark.parametrize(
    "arguments", ["", "transcribe", "evaluate", "translate a.wav", "transcribe a.wav --format doc"]
)
def test_a_wrong_command_line_shows_how_it_is_used(run, arguments):
    status, _, errors = run(*arguments.split())
    assert status == 2
    assert "usage: python -m asr_core" in errors


# --- train.py ---


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--model no/such/model/here", "no/such/model/here"),
        ("--dataset nothing.csv", "nothing.csv"),
        ("--dataset sample --eval_split later", "'later'"),
        ("--text_column words", "'words'"),
        ("--resume", "no whole checkpoint"),
    ],
)
def test_training_ends_before_it_begins_when_something_is_missing(tmp_path, flags, expected):
    output = tmp_path / "model"
    arguments = ["--preset", "quickstart", "--output_dir", str(output), *flags.split()]
    with pytest.raises(AsrError) as raised:
        train.main(arguments)
    assert expected in str(raised.value) and "\n" not in str(raised.value)
    assert not list(output.glob("*.safetensors"))


def program(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0"},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_the_programs_end_with_a_status_and_without_a_traceback(model, tmp_path):
    wrong = program("train.py", "--preset", "fast")
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[-1].startswith("train.py: --preset fast")
    for arguments in (["train.py", "--preset", "quickstart", "--model"], ["app.py", "--model"]):
        wrong = program(*arguments, LONG_NAME)
        assert wrong.returncode == 1
        line = wrong.stderr.splitlines()[-1]
        assert line.startswith(f"{arguments[0]}: ") and line.endswith("file name too long.")
        assert "Traceback" not in wrong.stderr
    wrong = program("-m", "asr_core", "transcribe", str(tmp_path), "--model", model)
    assert wrong.returncode == 1
    assert "is a folder" in complaint(wrong.stderr)


@pytest.mark.slow
def test_who_reads_no_further_ends_a_command_quietly(model, folder):
    arguments = ["-m", "asr_core", "transcribe", str(folder / "a.wav"), "--model", model]
    reads, writes = os.pipe()
    os.close(reads)
    ended = program(*arguments, stdout=writes)
    os.close(writes)
    assert ended.returncode == 141
    assert "rror" not in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_a_pipe_to_which_nobody_writes_is_left_at_once(model, folder):
    with subprocess.Popen(
        [sys.executable, "-m", "asr_core", "transcribe", "-", "--model", model],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        command.stdin.write((folder / "a.wav").read_bytes()[:2000])
        command.stdin.flush()
        command.stderr.readline()  # the model is there
        time.sleep(1)
        command.send_signal(signal.SIGINT)
        try:
            assert command.wait(10) == 130
        finally:
            command.kill()
        assert command.stderr.read() == b"Stopped.\n"


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("", "회의.wav".encode()), ("cp1252", rb"\ud68c\uc758.wav")],
)
def test_what_standard_output_cannot_spell_ends_nothing(
    model, tmp_path, monkeypatch, setting, expected
):
    """As on Windows, where a file that output goes to is not in UTF-8."""
    (tmp_path / "회의.wav").write_bytes(recordings.sound(1.0))
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="cp1252"))
    monkeypatch.setenv("PYTHONIOENCODING", setting)
    command = ["transcribe", str(tmp_path / "회의.wav"), "--model", model, "--format", "json"]
    assert commands.main(command) == 0
    assert expected in written.getvalue()


def test_help_of_the_commands_does_not_wait_for_the_libraries():
    loaded = program(
        "-c",
        "import sys, asr_core.__main__ as m\n"
        "try: m.main(['evaluate', '--help'])\n"
        "except SystemExit: print([x for x in ('torch', 'transformers', 'datasets', 'gradio') "
        "if x in sys.modules])",
    )
    assert "--baseline" in loaded.stdout
    assert loaded.stdout.splitlines()[-1] == "[]"
