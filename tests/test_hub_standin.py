"""The stand-in for the Hub serves the real clients: transformers, datasets, huggingface_hub."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import textwrap

import pytest
from hub import Hub

MODEL = "someone/tiny-ctc"


def client(environment: dict[str, str], script: str) -> dict:
    """What `script` puts into its dictionary `result`, run in a process of its own."""
    program = f"result = {{}}\n{textwrap.dedent(script)}\nimport json\nprint(json.dumps(result))"
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    folder = tmp_path_factory.mktemp("model")
    symbols = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abc"]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({symbol: i for i, symbol in enumerate(symbols)}))
    processor = Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), Wav2Vec2CTCTokenizer(vocabulary))
    processor.save_pretrained(folder)
    config = Wav2Vec2Config(
        vocab_size=len(symbols),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=[16] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2ForCTC(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def minds(tmp_path_factory):
    """One Parquet file with columns of MInDS-14."""
    import numpy
    import soundfile
    from datasets import Audio, Dataset

    wav = io.BytesIO()
    soundfile.write(wav, numpy.zeros(800), 8000, format="WAV")
    audio = {"bytes": wav.getvalue(), "path": "call.wav"}
    rows = Dataset.from_list(
        [{"path": f"{i}.wav", "audio": audio, "transcription": f"row {i}"} for i in range(30)]
    ).cast_column("audio", Audio(8000, decode=False))
    path = tmp_path_factory.mktemp("minds") / "train.parquet"
    rows.to_parquet(path)
    return path


@pytest.fixture
def hub(model_folder):
    with Hub() as hub:
        hub.add_model(MODEL, model_folder)
        yield hub


def test_a_model_is_loaded_pushed_and_loaded_back(hub, model_folder, tmp_path):
    result = client(
        hub.environment(tmp_path, token="writer"),
        """
        import torch
        from huggingface_hub import HfApi, snapshot_download
        from transformers import AutoModelForCTC, AutoProcessor, pipeline

        processor = AutoProcessor.from_pretrained("someone/tiny-ctc")
        model = AutoModelForCTC.from_pretrained("someone/tiny-ctc")
        model.push_to_hub("pushed", commit_message="Weights")
        processor.push_to_hub("tester/pushed", revision="tokens")
        processor.push_to_hub("tester/pushed")

        HfApi().create_repo("tester/folder", private=True, exist_ok=True)
        HfApi().create_repo("tester/folder", exist_ok=True)
        folder = snapshot_download("someone/tiny-ctc")
        HfApi().upload_folder(repo_id="tester/folder", folder_path=folder)

        for name in ["tester/pushed", "tester/folder"]:
            again = AutoModelForCTC.from_pretrained(name)
            weights, expected = again.state_dict(), model.state_dict()
            result[name] = all(torch.equal(weights[key], expected[key]) for key in expected)
        recognizer = pipeline(model="tester/pushed")
        result["task"] = recognizer.task
        result["text"] = type(recognizer(torch.zeros(16000).numpy())["text"]).__name__
        """,
    )
    assert result == {
        "tester/pushed": True,
        "tester/folder": True,
        "task": "automatic-speech-recognition",
        "text": "str",
    }
    weights = (model_folder / "model.safetensors").read_bytes()
    assert hub.files("tester/folder")["model.safetensors"] == weights
    assert hub.files("tester/folder") == hub.files(MODEL)
    assert b"library_name: transformers" in hub.files("tester/pushed")["README.md"]
    assert "vocab.json" in hub.files("tester/pushed", branch="tokens")


def test_a_dataset_gives_rows_with_the_bytes_of_their_audio(hub, minds, tmp_path):
    hub.add_dataset("PolyAI/minds14", {"en-US": {"train": minds}, "de-DE": {"train": minds}})
    result = client(
        hub.environment(tmp_path),
        """
        from datasets import Audio, get_dataset_config_names, load_dataset

        result["configurations"] = get_dataset_config_names("PolyAI/minds14")
        rows = load_dataset("PolyAI/minds14", "en-US", split="train[:20]")
        rows = rows.cast_column("audio", Audio(decode=False))
        result["rows"] = len(rows)
        result["transcription"] = rows[3]["transcription"]
        result["audio"] = rows[3]["audio"]["bytes"][:4].decode()

        streamed = load_dataset("PolyAI/minds14", "de-DE", split="train", streaming=True)
        result["streamed"] = next(iter(streamed.decode(False)))["transcription"]
        """,
    )
    assert result == {
        "configurations": ["en-US", "de-DE"],
        "rows": 20,
        "transcription": "row 3",
        "audio": "RIFF",
        "streamed": "row 0",
    }


REFUSALS = """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    def attempt(name, action, *arguments, **options):
        try:
            result[name] = action(*arguments, **options)
        except HfHubHTTPError as error:
            result[name] = [type(error).__name__, error.response.status_code]
        except Exception as error:
            result[name] = type(error).__name__

    def upload(token, path="notes.txt", content=b"text"):
        return HfApi(token=token).upload_file(
            path_or_fileobj=content, path_in_repo=path, repo_id="tester/mine"
        ).repo_url.repo_id
"""


def refusals(hub: Hub, home, script: str) -> dict:
    return client(hub.environment(home), textwrap.dedent(REFUSALS) + textwrap.dedent(script))


def test_questions_and_refusals_are_those_of_the_hub(hub, model_folder, tmp_path):
    hub.add_model("tester/mine", model_folder)
    hub.add_model("someone/gated", model_folder, gated=True)
    result = refusals(
        hub,
        tmp_path,
        """
        attempt("name", lambda: HfApi(token="writer").whoami()["name"])
        attempt("unknown token", HfApi(token="nonsense").whoami)
        attempt("task", lambda: HfApi().model_info("someone/tiny-ctc").pipeline_tag)
        attempt("files", HfApi().list_repo_files, "someone/tiny-ctc")
        attempt("branch", lambda: HfApi().list_repo_refs("tester/mine").branches[0].name)
        attempt("present", HfApi().file_exists, "tester/mine", "config.json")
        attempt("absent", HfApi().file_exists, "tester/mine", "nothing.json")
        attempt("no file", hf_hub_download, "tester/mine", "nothing.json")
        attempt("no revision", HfApi().model_info, "tester/mine", revision="v9")
        attempt("missing", HfApi().model_info, "someone/nothing")
        attempt("missing, with token", HfApi(token="reader").model_info, "someone/nothing")
        attempt("gated", HfApi().auth_check, "someone/gated")
        attempt("gated, with token", HfApi(token="reader").auth_check, "someone/gated")
        attempt("create without token", HfApi().create_repo, "tester/new")
        attempt("create with read token", HfApi(token="reader").create_repo, "tester/new")
        attempt("create elsewhere", HfApi(token="writer").create_repo, "someone/new")
        attempt("write without token", upload, None)
        attempt("write with read token", upload, "reader")
        attempt("write bad card", upload, "writer", "README.md", b"---\\nmodel-index: [{}]\\n---")
        attempt("write", upload, "writer")
        """,
    )
    assert result.pop("files") == sorted(path.name for path in model_folder.iterdir())
    assert result == {
        "name": "tester",
        "unknown token": ["HfHubHTTPError", 401],
        "task": "automatic-speech-recognition",
        "branch": "main",
        "present": True,
        "absent": False,
        "no file": ["RemoteEntryNotFoundError", 404],
        "no revision": ["RevisionNotFoundError", 404],
        "missing": ["RepositoryNotFoundError", 401],
        "missing, with token": ["RepositoryNotFoundError", 404],
        "gated": ["GatedRepoError", 401],
        "gated, with token": ["GatedRepoError", 403],
        "create without token": ["HfHubHTTPError", 401],
        "create with read token": ["HfHubHTTPError", 403],
        "create elsewhere": ["HfHubHTTPError", 403],
        "write without token": ["RepositoryNotFoundError", 401],
        "write with read token": ["HfHubHTTPError", 403],
        "write bad card": "ValueError",
        "write": "tester/mine",
    }
    assert hub.files("tester/mine")["notes.txt"] == b"text"
    assert ("models", "tester/new") not in hub.repositories
    assert ("POST", "/api/models/tester/mine/commit/main") in hub.requests


@pytest.mark.parametrize(
    ("place", "error", "pushed"),
    [
        ("/commit/", "RemoteProtocolError", "notes.txt"),
        ("/storage/", "RuntimeError", "model.safetensors"),
    ],
)
def test_a_cut_upload_is_an_error_and_leaves_the_repository_as_it_was(
    hub, model_folder, tmp_path, place, error, pushed
):
    hub.add_model("tester/mine", model_folder)
    hub.cut_uploads(place)
    script = f"""
        import time

        time.sleep = lambda seconds: None  # the pauses between the client's attempts
        attempt("upload", upload, "writer", {pushed!r}, bytes(300_000))
        attempt("question", lambda: HfApi().model_info("tester/mine").id)
    """
    assert refusals(hub, tmp_path, script) == {"upload": error, "question": "tester/mine"}
    assert hub.files("tester/mine") == hub.files(MODEL)
    hub.heal()
    assert refusals(hub, tmp_path, script)["upload"] == "tester/mine"
    assert hub.files("tester/mine")[pushed] == bytes(300_000)


def test_a_hub_can_be_down_or_slow_and_come_back(hub, tmp_path):
    question = 'attempt("id", lambda: HfApi().model_info("someone/tiny-ctc", timeout=1).id)'
    hub.down()
    assert refusals(hub, tmp_path, question) == {"id": "ConnectError"}
    hub.up()
    assert refusals(hub, tmp_path, question) == {"id": MODEL}
    hub.fail_after(0)
    assert refusals(hub, tmp_path, question) == {"id": "RemoteProtocolError"}
    hub.heal()
    hub.stall()
    assert refusals(hub, tmp_path, question) == {"id": "ReadTimeout"}
