"""Whatever a visitor can be told has a Korean sentence that says the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from asr_core import models
from asr_core.errors import AsrError
from asr_core.recognizer import Recognizer
from asr_core.translation import KOREAN, translate

PACKAGE = Path(models.__file__).parent
MODULES = (
    "audio resampling recognizer lexicon comparison engine models lesson page preparation".split()
)
HOSTS_ONLY = {
    "hardware",
    "host_flags",
    "longest",
}  # functions whose errors end the command before there is a page


def sentences(module: str) -> list[str]:
    """What a module can raise, warn of, or give as the reason of a choice; blanks are numbers."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if getattr(node, "name", "") not in HOSTS_ONLY]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            named = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            warns = named == "append" and "warnings" in ast.unparse(node.func)
            if (named.endswith("Error") or named == "Choice" or warns) and node.args:
                found += [text for text in map(written, node.args) if text]
    return found


def written(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [
            p.value if isinstance(p, ast.Constant) else str(i) for i, p in enumerate(node.values)
        ]
        return "".join(parts)
    return ""


EVERYTHING = [(module, sentence) for module in MODULES for sentence in sentences(module)]


def test_the_sentences_are_found():
    assert len(EVERYTHING) >= 30
    assert {module for module, _ in EVERYTHING} == set(MODULES)


@pytest.mark.parametrize(("module", "sentence"), EVERYTHING)
def test_every_sentence_has_a_korean_one_with_the_same_blanks(module, sentence):
    korean = translate(sentence, "ko")
    assert re.search("[가-힣]", korean), f"asr_core/translation.py lacks: {sentence}"
    assert set(re.findall(r"\d+", sentence)) <= set(re.findall(r"\d+", korean))


def test_no_translation_is_kept_that_nothing_says():
    said = [sentence for _, sentence in EVERYTHING]
    for english in KOREAN:
        if "{" in english:
            pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(english))
            assert any(re.fullmatch(pattern, sentence) for sentence in said), english


def test_what_really_goes_wrong_is_said_in_korean(embedded: Recognizer, tmp_path):
    bad = tmp_path / "휴가 {0}.wav"
    bad.write_text("no sound")
    with pytest.raises(AsrError) as caught:
        embedded.transcribe(str(bad))
    said = translate(str(caught.value), "ko")
    assert said.startswith("휴가 {0}.wav: 잘려 있거나")
    assert translate(str(caught.value), "en") == str(caught.value)
    with pytest.raises(AsrError) as caught:
        embedded.live().finish()
    assert translate(str(caught.value), "ko").startswith("녹음: 소리가 들어 있지 않습니다")


def test_a_name_of_two_lines_does_not_keep_a_sentence_english():
    said = translate("my\ntalk.wav has no sound track.", "ko")
    assert said == "my\ntalk.wav: 소리가 없는 영상입니다."


def test_what_is_not_known_stays_as_it_is():
    assert translate("Nobody has written this.", "ko") == "Nobody has written this."
