"""What hosting on Spaces needs: front matter, requirements and code say the same."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml

from asr_core import models
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
    packages = packages_distributions()
    pinned = {name.lower().replace("-", "_") for name in PINS}
    missing = {
        module
        for module in imported
        if not {p.lower().replace("-", "_") for p in packages.get(module, [module])} & pinned
    }
    assert not missing


def test_torch_stays_where_it_fits():
    assert PINS["torch"] == "2.13.0"
