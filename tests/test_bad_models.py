"""Models that cannot transcribe: one clear sentence each, and no code of theirs is run."""

from __future__ import annotations

import json
import shutil

import pytest
from tiny import processor, wav2vec2

from asr_core import Recognizer, models
from asr_core.errors import AsrError, ModelError, OptionError
from asr_core.flags import parse
from asr_core.pretrained import load_processor


@pytest.fixture
def offline(monkeypatch):
    """No Hub: any question fails at once, as it does without a network."""
    import huggingface_hub

    def refuse(*_, **__):
        raise ConnectionError("Network is unreachable")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)


@pytest.fixture
def copy(tiny, tmp_path):
    """A tiny model to break."""
    return shutil.copytree(tiny, tmp_path / "model")


def refusal(model) -> str:
    with pytest.raises(AsrError) as caught:
        Recognizer(str(model), language_model="none")
    assert isinstance(caught.value, ModelError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_model_without_the_hub(offline):
    sentence = refusal("somebody/unknown-model")
    assert "somebody/unknown-model" in sentence
    assert "check the connection, or use 'embedded'" in sentence


def test_a_name_that_cannot_be(offline):
    assert "neither a folder here nor an id of the Hub" in refusal("no such/model at/all")


def test_a_folder_without_a_model(tmp_path):
    assert "holds no config.json" in refusal(tmp_path)


def test_a_file_instead_of_a_folder(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert "is a file" in refusal(tmp_path / "model.safetensors")


def test_a_model_that_is_not_ctc(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    assert "whisper model, which is not trained with CTC" in refusal(tmp_path)


def test_a_model_whose_head_is_not_trained(tmp_path):
    from transformers import Wav2Vec2ForCTC

    folder = wav2vec2(tmp_path / "whole")
    Wav2Vec2ForCTC.from_pretrained(folder).wav2vec2.save_pretrained(tmp_path / "base")
    processor(tmp_path / "base")
    sentence = refusal(tmp_path / "base")
    assert "no trained CTC head yet" in sentence
    assert "python train.py --model" in sentence


def test_weights_that_lack_the_head(copy):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "lm_head" not in name}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    assert "incomplete, lm_head" in refusal(copy)


def test_weights_cut_short(copy):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert "cannot be loaded" in refusal(copy)


def test_weights_that_could_hold_code_are_not_loaded(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    assert "cannot be loaded" in refusal(copy)


def test_a_broken_configuration(copy):
    (copy / "config.json").write_text("{")
    assert "cannot be read" in refusal(copy)


def test_a_model_without_a_tokenizer(copy):
    for file in copy.iterdir():
        if "token" in file.name or "vocab" in file.name:
            file.unlink()
    assert "cannot be loaded" in refusal(copy)


def test_code_that_comes_with_a_model_is_not_run(copy):
    (copy / "evil.py").write_text("raise SystemExit('code of the model was run')")
    config = json.loads((copy / "config.json").read_text())
    config["model_type"] = "evil"
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCTC": "evil.Model"}
    (copy / "config.json").write_text(json.dumps(config))
    assert "cannot be read" in refusal(copy)


def test_code_that_comes_with_a_processor_is_not_run_to_fine_tune(copy, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # to whatever a library asks
    (copy / "evil.py").write_text("raise SystemExit('code of the model was run')")
    config = json.loads((copy / "processor_config.json").read_text())
    config |= {"processor_class": "Evil", "auto_map": {"AutoProcessor": "evil.Evil"}}
    (copy / "processor_config.json").write_text(json.dumps(config))
    for vocabulary in ("auto", "data"):
        flags = f"--model {copy} --output_dir {tmp_path / 'out'} --vocabulary {vocabulary}"
        options, _ = parse(flags.split())
        if vocabulary == "auto":
            with pytest.raises(ModelError, match="wants its author's code to be run"):
                load_processor(options, ["HELLO"])
        else:
            load_processor(options, ["HELLO"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"device": "abacus"}, "no device 'abacus' here"),
        ({"device": "cpu:1"}, "no device 'cpu:1' here: use auto or one of cpu"),
        ({"device": "cpu:one"}, "no device 'cpu:one' here"),
        ({"dtype": "float7"}, "dtype 'float7' is not one of"),
    ],
)
def test_options_that_are_not_to_be_had(options, sentence):
    with pytest.raises(OptionError, match=sentence):
        Recognizer("embedded", **options)


def test_without_the_hub_the_embedded_model_is_the_default_and_says_why(offline, monkeypatch):
    monkeypatch.delenv("ASR_MODEL", raising=False)
    choice = models.default_model()
    assert choice.name == "embedded"
    assert "Hub could not be reached" in choice.reason


def test_without_the_hub_a_model_that_was_fetched_before_is_used(offline, monkeypatch):
    monkeypatch.delenv("ASR_MODEL", raising=False)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: "/cache/config.json")
    assert models.locate("somebody/model") == "somebody/model"
    assert models.default_model() == models.Choice(models.DEFAULT, asked=False)


def test_a_folder_may_lie_at_home(copy, monkeypatch):
    monkeypatch.setenv("HOME", str(copy.parent))
    assert models.locate("~/model") == str(copy)


def test_a_wish_in_the_environment_decides(offline, monkeypatch):
    monkeypatch.setenv("ASR_MODEL", " somebody/else\n")
    assert models.default_model().name == "somebody/else"
    monkeypatch.setenv("ASR_MODEL", " ")
    assert models.default_model().name == "embedded"


def test_a_cpu_needs_no_number():
    assert models.hardware("cpu:0", "float32") == models.hardware("cpu", "float32")
