"""Models behind the page: loaded once, waited for, tried again, and only those the host allows."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from asr_core import engine as module
from asr_core import models
from asr_core.engine import Engine, Wish
from asr_core.errors import ModelError, OptionError
from asr_core.translation import translate


@pytest.fixture
def loaded(monkeypatch) -> list[str]:
    """Names of the models that were loaded, by a loader that takes no time."""
    names: list[str] = []

    def load(name: str) -> str:
        names.append(name)
        return f"recognizer of {name}"

    monkeypatch.setattr(module, "_load", load)
    return names


def test_many_visitors_share_one_model(loaded):
    engine = Engine("m")
    with ThreadPoolExecutor(8) as pool:
        results = set(pool.map(lambda _: engine.recognizer(), range(8)))
    assert results == {"recognizer of m"}
    assert loaded == ["m"]


def test_nothing_is_ready_before_it_is_loaded(monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(module, "_load", lambda name: gate.wait(10))
    engine = Engine("m")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(engine.recognizer)
        assert not engine.ready()
        gate.set()
        assert waiting.result(10)
    assert engine.ready()


def test_a_model_that_failed_is_tried_again(monkeypatch):
    answers = iter([ModelError("The Hub is away."), "there"])

    def load(name: str) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(module, "_load", load)
    engine = Engine("m")
    with pytest.raises(ModelError, match="away"):
        engine.recognizer()
    assert not engine.ready()
    assert engine.recognizer() == "there"


@pytest.fixture
def only_embedded(monkeypatch) -> list[str]:
    """Names of models that were tried: the Hub tells of the default one, but nothing can be had."""
    tried: list[str] = []

    def load(name: str) -> str:
        tried.append(name)
        if name != models.EMBEDDED:
            raise ModelError(f"The model '{name}' cannot be loaded: [Errno 30] Read-only disk")
        return "embedded recognizer"

    monkeypatch.delenv("ASR_MODEL", raising=False)
    monkeypatch.setattr(module, "_load", load)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: "config.json")
    return tried


def test_where_the_default_model_cannot_be_had_the_embedded_one_is_taken(only_embedded):
    engine = Engine()
    assert engine.recognizer() == engine.recognizer() == "embedded recognizer"
    assert only_embedded == [models.DEFAULT, models.EMBEDDED]
    assert engine.ready()
    reason = f"{models.DEFAULT} is not available (The model '{models.DEFAULT}' cannot be loaded: "
    assert engine.choice().reason.startswith(reason)
    assert "모델을 불러올 수 없습니다. [Errno 30]" in translate(engine.choice().reason, "ko")


def test_a_model_that_was_asked_for_is_never_another(only_embedded, monkeypatch):
    for engine in (Engine(models.DEFAULT), Engine("mine")):
        with pytest.raises(ModelError, match="Read-only"):
            engine.recognizer()
    monkeypatch.setenv("ASR_MODEL", models.DEFAULT)
    with pytest.raises(ModelError, match="Read-only"):
        Engine().recognizer()
    assert models.EMBEDDED not in only_embedded


def test_only_models_on_the_hosts_list_can_be_chosen(monkeypatch, loaded):
    monkeypatch.setenv("ASR_MODELS", "big, small ,,big")
    engine = Engine("m")
    assert engine.models() == ["big", "small"]
    assert engine.recognizer("small") == "recognizer of small"
    for name in ("../../secret", [], ["small"], {"small": 1}, 7):
        assert not engine.ready(name)
        with pytest.raises(ModelError, match="not one of those offered"):
            engine.recognizer(name)
    assert loaded == ["small"]


def test_the_environment_names_the_default_model(monkeypatch, loaded):
    monkeypatch.setenv("ASR_MODEL", "theirs")
    assert Engine().recognizer() == "recognizer of theirs"
    assert Engine("mine").recognizer() == "recognizer of mine"


def test_the_environment_names_the_precision(monkeypatch):
    monkeypatch.setenv("ASR_DTYPE", " Float16 ")
    assert str(Engine("embedded").recognizer().hardware).endswith("float16")
    monkeypatch.setenv("ASR_DTYPE", "float17")
    with pytest.raises(OptionError, match="ASR_DTYPE=float17 is not one of auto, float32"):
        Engine("embedded")  # before there are visitors


@pytest.mark.parametrize(
    ("hours", "public", "seconds"),
    [("", False, math.inf), ("", True, 6 * 3600), ("0.5", True, 1800), ("24", False, 86_400)],
)
def test_a_host_says_how_long_recordings_may_be(monkeypatch, hours, public, seconds):
    monkeypatch.setenv("ASR_LONGEST", hours)
    assert Engine("embedded", public).longest == seconds


@pytest.mark.parametrize("hours", ["-1", "0", "nan", "6h"])
def test_what_is_no_number_of_hours_is_told_at_the_start(monkeypatch, hours):
    monkeypatch.setenv("ASR_LONGEST", hours)
    with pytest.raises(OptionError, match=f"ASR_LONGEST={hours} is no number of hours"):
        Engine("embedded")


def test_what_is_longer_than_allowed_is_heard_up_to_there(monkeypatch, embedded):
    monkeypatch.setattr(module, "_load", lambda name: embedded)
    monkeypatch.setenv("ASR_LONGEST", "0.01")
    silence = 16_000, np.zeros(16_000 * 60, np.float32)
    *_, last = Engine("embedded").stream(silence, Wish())
    assert last.complete
    assert 36 <= last.duration < 41  # in blocks of four seconds
    assert last.warnings[0].startswith("The recording is longer than the 0.01 hours that are")
    monkeypatch.setenv("ASR_LONGEST", str(1 / 60))
    *_, last = Engine("embedded").stream(silence, Wish())
    assert last.duration == 60
    assert not any("longer" in warning for warning in last.warnings)


def test_wishes_name_nothing_on_the_server(monkeypatch, embedded):
    monkeypatch.setattr(module, "_load", lambda name: embedded)
    engine = Engine("embedded")
    secret = Wish("", "../../secret", "etc, passwd")
    assert engine.listener(secret).language_model is None  # the model's own, and it has none
    with pytest.raises(OptionError, match="the model has no 7"):
        engine.listener(Wish(hotwords="/etc/passwd.7"))
    with pytest.raises(ModelError, match="not one of those offered"):
        engine.listener(Wish("../../secret"))


@pytest.mark.parametrize(
    ("hotwords", "sentence"),
    [
        ("Zoë 7, Ann", "The hotword 'Zoë' cannot be spelt: the model has no ë."),
        ("x" * 51, "too long: at most 50"),
        (",".join("abc" for _ in range(201)), "201 hotwords are too many"),
    ],
)
def test_bad_hotwords_are_one_sentence(embedded, hotwords, sentence):
    with pytest.raises(OptionError) as caught:
        embedded.using(hotwords=hotwords)
    assert sentence in str(caught.value)


def test_who_wants_no_language_model_gets_none(monkeypatch):
    recognizer = SimpleNamespace(using=lambda *wishes: wishes)
    monkeypatch.setattr(module, "_load", lambda name: recognizer)
    for wanted in (True, False):
        assert Engine("m").listener(Wish("", wanted, "Kim")) == (wanted, "Kim")


def test_what_was_taught_anew_is_loaded_anew(loaded):
    engine = Engine("m")
    name = engine.lend("first")
    assert engine.recognizer(name) == "recognizer of first"
    assert engine.lend("second", name) == name
    assert engine.recognizer(name) == "recognizer of second"


def test_wishes_that_change_nothing_cost_nothing(embedded):
    assert embedded.using(True, "") is embedded.using(False, " , ") is embedded


def test_what_is_compiled_is_compiled_before_a_model_is_ready_and_without_running_it():
    script = "from asr_core import engine, search; from asr_core.recognizer import Recognizer;"
    script += "Recognizer.forward = None; engine.Engine('embedded').recognizer();"
    script += "print(len(search.advance.signatures), len(search.best_ending.signatures))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split() == ["1", "1"], done.stderr


def test_a_model_is_there_before_a_process_is_forked(monkeypatch, loaded):
    engine = Engine("m")
    engine.fetch(None)
    assert not loaded  # nothing is forked here: it may come in its own time
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    engine.fetch(None)
    assert engine.ready()
    engine.fetch("not offered")  # what is wrong is told later, where it is used
