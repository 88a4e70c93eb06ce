"""What hosting on Spaces needs: front matter, requirements and code say the same."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from asr_core import models, page
from asr_core.presets import PRESETS

ROOT = Path(__file__).parent.parent
FRONT = yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---")[1])
PINS = dict(
    re.fullmatch(r"([\w-]+)(?:\[\w+\])?==([\w.]+)", line).groups()
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line and not line.startswith("#")
)


def test_front_matter_is_what_spaces_takes():
    assert FRONT["sdk"] == "gradio"
    assert (ROOT / FRONT["app_file"]).is_file()
    assert len(FRONT["short_description"]) <= 60
    assert FRONT["colorFrom"] in COLORS and FRONT["colorTo"] in COLORS
    assert tuple(map(int, FRONT["python_version"].split("."))) >= (3, 11)


COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def test_sdk_version_and_requirement_agree():
    assert PINS["gradio"] == FRONT["sdk_version"]


def test_models_and_datasets_are_the_defaults_of_the_code():
    assert FRONT["models"] == [models.DEFAULT]
    assert FRONT["datasets"] == [PRESETS["recommended"]["dataset"]]


def test_readme_tells_the_licences_of_the_code_and_of_the_embedded_model():
    card = (models.EMBEDDED_FOLDER / "README.md").read_text(encoding="utf-8")
    said = (ROOT / "README.md").read_text(encoding="utf-8").split("## Licence")[1]
    for licence in (FRONT["license"], yaml.safe_load(card.split("---")[1])["license"]):
        assert re.sub("[ -]", "", licence) in re.sub("[ -]", "", said.lower())


def test_every_package_that_is_imported_is_pinned():
    files = [ROOT / "app.py", ROOT / "train.py", *(ROOT / "asr_core").rglob("*.py")]
    imported = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "asr_core", "train"}
    imported -= {"spaces"}  # only there on ZeroGPU, which brings it
    # Only for who makes the embedded model.
    imported -= {"ttspico", "hibari", "onnx", "onnxruntime"}
    packages = packages_distributions()
    pinned = {name.lower().replace("-", "_") for name in PINS}
    missing = {
        module
        for module in imported
        if not {p.lower().replace("-", "_") for p in packages.get(module, [module])} & pinned
    }
    assert not missing


STUB = """
import functools, sys
early = "torch" not in sys.modules
decorated = []

def GPU(function):
    decorated.append(function.__name__)
    @functools.wraps(function)
    def lent(*args):
        print("lent", flush=True)
        return function(*args)
    return lent
"""
PROBE = """
import sys, app
from asr_core.engine import Engine
demo = app.build(Engine("embedded"))
tabs = [block.id for block in demo.blocks.values() if type(block).__name__ == "Tab"]
spaces = sys.modules.get("spaces")
print([tabs, "torch" in sys.modules, spaces and [spaces.early, sorted(spaces.decorated)]])
"""


@pytest.fixture
def stub(tmp_path) -> dict[str, str]:
    """The environment of ZeroGPU, with a package `spaces` that lends nothing."""
    (tmp_path / "spaces.py").write_text(STUB)
    return {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "SPACES_ZERO_GPU": "true"}


def built(**environment: str) -> list:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=ROOT,
        env={**os.environ, "ASR_TEACH": "0", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return ast.literal_eval(done.stdout.splitlines()[-1])


def test_the_page_is_made_without_spaces_and_without_torch():
    tabs, torch, spaces = built(PYTHONPATH=str(ROOT))
    assert tabs[:3] == ["transcribe", "live", "files"]
    assert not torch  # so nothing has touched CUDA
    assert spaces is None


def test_on_zerogpu_spaces_comes_before_torch_and_lends_to_what_transcribes(stub):
    tabs, torch, (early, decorated) = built(**stub)
    assert early
    assert not torch
    assert decorated == ["listen", "transcribe", "transcribe"]
    assert "live" not in tabs


def test_on_zerogpu_the_model_is_there_before_the_page_and_calls_are_lent(stub, tmp_path):
    from browser import App
    from gradio_client import Client, handle_file

    running = App(tmp_path, "--model", "embedded", **stub)
    try:
        assert "libtorch" in running.libraries()  # elsewhere the page answers before that
        clip = page.samples(tmp_path, 1)[0].path
        client = Client(running.url, verbose=False)
        assert client.predict(handle_file(clip), api_name="/transcribe").strip()
        running.wait_for("lent")
        assert "Traceback" not in running.log
    finally:
        running.close()


def test_readme_tells_how_to_host_in_five_lines():
    section = (
        (ROOT / "README.md").read_text(encoding="utf-8").split("## Host it")[1].split("## ")[0]
    )
    steps = re.findall(r"^\d\. .+", section, re.MULTILINE)
    assert 1 <= len(steps) <= 5
    assert "ZeroGPU" in section
    for variable in ("ASR_MODEL", "ASR_MODELS", "GRADIO_TEMP_DIR"):
        assert f"`{variable}`" in section


def test_the_command_of_readme_uploads_a_clean_copy_to_a_space(monkeypatch, tmp_path):
    from huggingface_hub import HfApi
    from huggingface_hub.cli.hf import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (copy, command), *others = re.findall(r"`git clone \. (\S+) && hf (.+?)`", text)
    made, sent = [], []
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    Path(copy).mkdir()
    repository = SimpleNamespace(repo_id="YOU/SPACE")
    monkeypatch.setattr(HfApi, "create_repo", lambda self, **to: made.append(to) or repository)
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **what: sent.append(what) or "done")
    app(command.split(), standalone_mode=False)
    assert not others
    assert (made[0]["repo_type"], made[0]["space_sdk"]) == ("space", "gradio")
    (sent,) = sent
    assert sent["repo_type"] == "space" and sent["path_in_repo"] == "."
    # A clone beside the working directory: neither environments nor models nor recordings in it.
    assert Path(sent["folder_path"]).resolve() == tmp_path / "space"
