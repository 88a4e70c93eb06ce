"""From the Hub and back: train.py loads from a stand-in, trains, pushes; anyone loads that."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import recordings
import tiny
from hub import Hub

from asr_core import hub
from asr_core.flags import parse
from asr_core.language_model_sources import find

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
TRAIN = """
    --preset quickstart --model someone/base --dataset PolyAI/minds14 --dataset_config en-US
    --train_split train[:12] --test_size 4 --max_steps 2 --eval_strategy steps --eval_steps 1
    --save_strategy steps --save_steps 1 --logging_steps 1 --longest 30
""".split()


class Home:
    """A machine of somebody, who talks to the stand-in."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        (folder / "home").mkdir()

    def run(self, *command: str, token: str | None = None) -> subprocess.CompletedProcess:
        environment = self.hub.environment(self.folder / "home", token)
        environment |= {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0", "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=200
        )

    def client(self, script: str, token: str | None = None) -> dict:
        """What `script` puts into `result`."""
        program = (
            "result = {}\n" + textwrap.dedent(script) + "\nimport json; print(json.dumps(result))"
        )
        ran = self.run(sys.executable, "-c", program, token=token)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("push")
    base = tiny.wav2vec2(folder / "base", norm="layer", intermediate_size=32)
    (base / "README.md").write_text("---\nlicense: mit\n---\n# Base\n")
    rows = recordings.write_parquet(folder / "train.parquet", recordings.ROWS * 3)
    with Hub() as hub:
        hub.add_model("someone/base", base)
        hub.add_dataset("PolyAI/minds14", {"en-US": {"train": rows}, "ko-KR": {"train": rows}})
        yield Home(hub, folder)


@pytest.fixture(scope="module")
def trained(home) -> Path:
    """The folder of a run that trained, made a language model beside it, and pushed both."""
    folder = home.folder / "my-speech"
    (folder / "runs").mkdir(parents=True)
    (folder / "runs" / "log.json").write_text("{}")
    (folder / "call.wav").write_bytes(recordings.sound(1.0))
    (home.folder / "more.txt").write_text("the zeppelin is late\n" * 3)
    ran = home.run(
        *(sys.executable, str(ROOT / "train.py"), *TRAIN, "--output_dir", "my-speech"),
        *("--language_model", "build", "--text", "more.txt"),
        *("--push_to_hub", "True", "--hub_private_repo", "True"),
        token="writer",
    )
    assert ran.returncode == 0, ran.stderr
    assert "tester/my-speech" in ran.stdout
    return folder


def test_model_processor_card_and_pictures_are_pushed_and_nothing_else(home, trained):
    pushed = home.hub.files("tester/my-speech")
    assert {"config.json", "model.safetensors", "vocab.json", "README.md"} <= set(pushed)
    assert {"processor_config.json", "tokenizer_config.json", "training.png", "data.png"} <= set(
        pushed
    )
    assert (trained / "checkpoint-2").is_dir()
    words = {"language_model/ngrams.safetensors", "language_model/language_model.json"}
    assert words <= set(pushed)
    for name in set(pushed) - words:
        assert "/" not in name and not name.endswith((".wav", ".bin", ".pt")), name
    assert "data.json" not in pushed and "training.json" not in pushed  # they name recordings
    assert pushed["model.safetensors"] == (trained / "model.safetensors").read_bytes()
    assert home.hub.repositories["models", "tester/my-speech"].private
    commits = [path for method, path in home.hub.requests if "/commit/" in path]
    assert len(commits) == 1


def test_the_card_says_what_the_hub_wants_to_know(home, trained):
    card = home.hub.files("tester/my-speech")["README.md"].decode()
    for line in ("license: mit", "base_model: someone/base", "- PolyAI/minds14", "language: en"):
        assert line in card
    assert 'model="tester/my-speech"' in card
    assert "| before |" in card and "| fine-tuned |" in card
    assert str(home.folder) not in card


@pytest.fixture(scope="module")
def elsewhere(home, trained) -> dict:
    """What a fresh process finds in what was pushed."""
    return home.client(
        """
        import numpy as np
        from transformers import AutoModelForCTC, AutoProcessor, pipeline

        samples = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
        transcriber = pipeline(model="tester/my-speech")
        result["task"] = transcriber.task
        result["pipeline"] = transcriber(samples.copy())["text"]

        import torch
        processor = AutoProcessor.from_pretrained("tester/my-speech")
        model = AutoModelForCTC.from_pretrained("tester/my-speech")
        inputs = processor(samples, sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            best = model(**inputs).logits.argmax(dim=-1)
        result["by hand"] = processor.batch_decode(best)[0]

        from asr_core import Recognizer
        recognizer = Recognizer("tester/my-speech", dtype="float32")
        result["asr_core"] = recognizer.name
        result["words"] = recognizer.language_model.words
        """,
        token="reader",
    )


def test_a_fresh_process_transcribes_with_what_was_pushed(elsewhere):
    assert elsewhere["task"] == "automatic-speech-recognition"
    assert elsewhere["pipeline"] == elsewhere["by hand"] != ""
    assert elsewhere["asr_core"] == "tester/my-speech"


def test_the_language_model_comes_along_and_knows_transcripts_and_text(elsewhere, trained):
    said = {word for row in recordings.ROWS for word in row[1].lower().split()}
    assert "zeppelin" in elsewhere["words"]
    assert said & set(elsewhere["words"])
    assert list(find(str(trained)).words) == elsewhere["words"]


def test_who_may_not_push_learns_it_before_training(home, tmp_path):
    home.hub.requests.clear()
    result = home.client(
        f"""
        import train
        def attempt(name, *flags):
            try:
                train.main({TRAIN} + ["--output_dir", {str(tmp_path / "never")!r}] + list(flags))
            except train.AsrError as error:
                result[name] = str(error)

        attempt("no token", "--push_to_hub")
        attempt("wrong token", "--push_to_hub", "--hub_token", "nonsense")
        attempt("read only", "--push_to_hub", "--hub_token", "reader")
        writer = ["--push_to_hub", "--hub_token", "writer"]
        attempt("elsewhere", *writer, "--hub_model_id", "someone/x")
        attempt("bad name", "--push_to_hub", "--hub_model_id", "my model")
        attempt("checkpoints", "--push_to_hub", "--hub_strategy", "all_checkpoints")
        """
    )
    assert "hf auth login" in result["no token"]
    assert "hf auth login" in result["wrong token"] and "invalid" in result["wrong token"].lower()
    assert "only read" in result["read only"] and "tester" in result["read only"]
    assert "someone/x" in result["elsewhere"] and "tester" in result["elsewhere"]
    assert "'my model'" in result["bad name"] and "--hub_model_id" in result["bad name"]
    assert "--hub_strategy all_checkpoints" in result["checkpoints"]
    assert all("\n" not in message for message in result.values())
    assert not (tmp_path / "never").exists()
    assert {path for _, path in home.hub.requests} == {"/api/whoami-v2"}


PUSH = """
    from pathlib import Path
    from types import SimpleNamespace
    from asr_core import hub
    from asr_core.errors import ModelError

    arguments = SimpleNamespace(
        hub_model_id={id!r}, hub_token=None, hub_private_repo=None, hub_revision=None,
        hub_strategy="every_save", output_dir={folder!r}
    )
    try:
        where = hub.destination(arguments)
        {between}
        result["address"] = hub.push(Path({folder!r}), where)
    except ModelError as error:
        result["error"] = str(error)
"""


def push(home: Home, folder: Path, id: str, between: str = "") -> dict:
    script = textwrap.dedent(PUSH).format(id=id, folder=str(folder), between=between)
    return home.client(script, token="writer")


def test_a_cut_upload_leaves_the_model_and_says_how_to_try_again(home, trained, tmp_path):
    before = {path.name: path.read_bytes() for path in trained.glob("*.*") if path.is_file()}
    home.hub.cut_uploads()
    try:
        result = push(home, trained, "cut-upload")
    finally:
        home.hub.heal()
    sentence = result["error"]
    assert f"safe in {trained}" in sentence and "\n" not in sentence
    assert {
        path.name: path.read_bytes() for path in trained.glob("*.*") if path.is_file()
    } == before
    assert set(home.hub.files("tester/cut-upload")) <= {".gitattributes"}

    command = shlex.split(sentence.partition("Try again with: ")[2])
    assert command[:3] == ["hf", "upload", "tester/cut-upload"]
    hf = shutil.which("hf", path=str(Path(sys.executable).parent))
    again = home.run(hf, *command[1:], token="writer")
    assert again.returncode == 0, again.stderr
    assert home.hub.files("tester/cut-upload") == home.hub.files("tester/my-speech")


def test_a_hub_that_does_not_answer_is_one_sentence(home, trained):
    home.hub.down()
    try:
        result = push(home, trained, "unreachable")
    finally:
        home.hub.up()
    assert "does not answer" in result["error"] and "\n" not in result["error"]


def test_a_push_may_go_to_a_branch(home, trained):
    result = push(home, trained, "branched", 'where = hub.Destination(where.id, revision="trial")')
    assert result["address"].endswith("tester/branched")
    assert "model.safetensors" in home.hub.files("tester/branched", branch="trial")
    assert "model.safetensors" not in home.hub.files("tester/branched")


def test_the_command_to_try_again_goes_where_the_push_would_have_gone():
    private = hub.Destination("me/mine", private=True, revision="trial").again(Path("out"))
    assert private.startswith("hf upload me/mine out . --private --revision trial --include")
    assert hub.Destination("me/mine").again(Path("out")).startswith("hf upload me/mine out . --inc")


@pytest.mark.parametrize(
    ("wish", "id"),
    [("ours/speech", "ours/speech"), ("speech", "me/speech"), (None, "me/my-speech")],
)
def test_a_model_goes_to_ones_own_name_or_to_an_organisation(tmp_path, monkeypatch, wish, id):
    asked = {"name": "me", "orgs": [{"name": "ours"}]}
    monkeypatch.setattr("huggingface_hub.HfApi.whoami", lambda *_: asked)
    (tmp_path / "my-speech").mkdir()
    monkeypatch.chdir(tmp_path / "my-speech")
    _, arguments = parse(["--preset", "quickstart", "--output_dir", "."])
    arguments.hub_model_id = wish
    assert hub.destination(arguments).id == id
