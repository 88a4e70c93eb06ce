"""The model that training begins with: its processor, its head, what of it learns."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext

import pytest
import recordings
import tiny
import torch
from transformers import AutoModelForCTC, AutoProcessor

import train
from asr_core import pretrained, text
from asr_core.augmentation import Augmentation
from asr_core.errors import ModelError, OptionError
from asr_core.flags import parse
from asr_core.models import EMBEDDED_FOLDER


def test_frozen_parts_do_not_learn(tmp_path):
    folder = tiny.wav2vec2(tmp_path)
    options, _ = parse(["--model", str(folder), "--freeze", "feature_encoder"])
    model, fresh = pretrained.load_model(options, AutoProcessor.from_pretrained(folder))
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    assert not any("feature_extractor" in name for name in learns)
    assert any("lm_head" in name for name in learns)
    assert not fresh
    assert model.config.ctc_loss_reduction == "mean" and model.config.ctc_zero_infinity


def test_a_head_that_has_all_characters_is_kept_though_sentence_marks_were_added(tmp_path):
    folder = tiny.wav2vec2(tmp_path / "m", norm="layer", vocab_size=len(tiny.LETTERS) + 2)
    # As in 2021: a vocabulary without <s> and </s>, to which transformers adds them.
    tokens = ["<pad>", "<unk>", *tiny.LETTERS]
    (folder / "vocab.json").write_text(json.dumps({c: i for i, c in enumerate(tokens)}))
    for path in folder.glob("*token*.json"):
        path.unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "Wav2Vec2CTCTokenizer"}')
    options, _ = parse(["--model", str(folder), "--output_dir", str(tmp_path / "out")])
    processor, new = pretrained.load_processor(options, ["HELLO"])
    assert len(processor.tokenizer) == len(tokens) + 2
    model, fresh = pretrained.load_model(options, processor, new)
    assert not fresh
    before = AutoModelForCTC.from_pretrained(folder).lm_head.weight
    torch.testing.assert_close(model.lm_head.weight, before)


def test_a_head_for_other_characters_is_new_though_there_are_as_many(tmp_path):
    flags = ["--model", "embedded", "--vocabulary", "data", "--output_dir", str(tmp_path)]
    options, _ = parse(flags)
    said = ["the quick brown fox jumps over the lazy dog", "don't"]
    processor, new = pretrained.load_processor(options, said)
    model, fresh = pretrained.load_model(options, processor, new)
    old = AutoModelForCTC.from_pretrained(EMBEDDED_FOLDER).lm_head.weight
    assert fresh and model.lm_head.weight.shape == old.shape
    assert (model.lm_head.weight - old).abs().max() > 0.01
    assert model.lm_head.weight.std() < 0.05


@pytest.mark.parametrize(
    ("case", "heard"), [("lower", "ışık ile izmir"), ("upper", "IŞIK İLE İZMİR")]
)
def test_turkish_keeps_its_two_letters_i_apart(tmp_path, case, heard):
    flags = f"--model embedded --vocabulary data --case {case} --output_dir {tmp_path}"
    options, _ = parse(flags.split())
    said = ["İzmir'de ılık bir gün, Işık!", "Çağrı için şu dört büyük liste"]
    tokenizer = pretrained.load_processor(options, said)[0].tokenizer
    spelling = text.Spelling.of(tokenizer)
    assert text.normalize("Işık ile İzmir", spelling) == heard
    assert not text.unknown([text.normalize(line, spelling) for line in said], tokenizer)
    dots = {"lower": {"ı", "i"}, "upper": {"I", "İ"}}[case]
    assert dots == {"ı", "i", "I", "İ", "i̇", "\u0307"} & set(tokenizer.get_vocab())


def test_turkish_capitals_are_told_from_small_letters(tmp_path):
    flags = f"--model embedded --vocabulary data --case upper --output_dir {tmp_path}"
    said = ["istanbul'da hava ılık", "çocuk ağaç üç göz şey"]
    tokenizer = pretrained.load_processor(parse(flags.split())[0], said)[0].tokenizer
    assert {"I", "İ"} <= set(tokenizer.get_vocab())


def test_a_look_at_other_data_leaves_the_model_in_the_folder_as_it_is(tmp_path):
    out = tmp_path / "model"
    (out / "checkpoint-1").mkdir(parents=True)
    AutoProcessor.from_pretrained(EMBEDDED_FOLDER).save_pretrained(out)
    (out / "language_model").mkdir()
    for name in ("model.safetensors", "data.png", "data.json"):
        (out / name).write_text("of the model's own data")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    data_set = recordings.clips(tmp_path / "mine")
    recordings.write_csv(data_set / "metadata.csv", recordings.records())
    flags = f"--preset quickstart --dataset {data_set} --output_dir {out} --vocabulary data"
    assert train.main([*flags.split(), "--dry_run"]) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert (out / "language_model").exists()


@pytest.mark.parametrize("flag", ["--case keep", "--punctuation keep", "--hangul jamo"])
def test_a_spelling_that_the_models_own_characters_rule_out_is_not_ignored(flag):
    options, _ = parse(["--model", "embedded", *flag.split()])
    with pytest.raises(OptionError, match=rf"{flag} needs characters of your own: add"):
        pretrained.load_processor(options, ["HELLO"])
    options, _ = parse(["--model", "embedded", "--case", "upper"])  # as it writes anyway
    assert not pretrained.load_processor(options, ["HELLO"])[1]


def test_punctuation_that_no_model_is_known_by_is_not_dropped_without_a_word():
    flags = "--model embedded --vocabulary data --punctuation keep"
    options, _ = parse(flags.split())
    with pytest.raises(OptionError, match=r"--punctuation keep: .* none of \. , \? !"):
        pretrained.load_processor(options, ["well-known", "100%"])
    assert pretrained.load_processor(options, ["well-known", "100%."])[1]


@pytest.mark.parametrize("broken", ["model.safetensors", "processor_config.json"])
def test_a_model_that_was_cut_short_is_told_in_a_sentence(tmp_path, broken):
    folder = tiny.wav2vec2(tmp_path)
    (folder / broken).write_bytes((folder / broken).read_bytes()[:100])
    flags = f"--preset quickstart --model {folder} --output_dir {tmp_path / 'out'} --dry_run"
    with pytest.raises(ModelError, match=re.escape(str(folder))):
        train.main([*flags.split(), "--vocabulary", "data"])


@pytest.mark.parametrize("vocabulary", [b'{"<pad>": 0, "a"', None])
def test_a_trained_head_is_not_given_up_where_its_tokenizer_cannot_be_read(tmp_path, vocabulary):
    folder = tiny.wav2vec2(tmp_path)
    for path in folder.glob("*token*.json"):
        path.unlink()
    (folder / "vocab.json").unlink()
    if vocabulary:
        (folder / "vocab.json").write_bytes(vocabulary)
    options, _ = parse(["--model", str(folder)])
    with pytest.raises(ModelError, match=r"tokenizer of .*: fetch it again, or add --vocabulary"):
        pretrained.load_processor(options, ["HELLO"])
    options, _ = parse(["--model", str(folder), "--vocabulary", "data"])
    assert pretrained.load_processor(options, ["HELLO"])[1]


def test_a_model_of_phonemes_is_told_to_learn_letters(tmp_path):
    folder = tiny.wav2vec2(tmp_path)
    settings = {"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    options, _ = parse(["--model", str(folder)])
    with pytest.raises(ModelError, match=r"phonemes .* requires the phonemizer.*: add --vocabul"):
        pretrained.load_processor(options, ["HELLO"])


@pytest.mark.parametrize("adapter", [False, True])
def test_what_is_shorter_than_a_mask_is_left_out(adapter, tmp_path):
    folder = tiny.wav2vec2(tmp_path / "m", "layer", add_adapter=adapter, output_hidden_size=32)
    options, _ = parse(["--model", str(folder), "--output_dir", str(tmp_path / "out")])
    processor, new = pretrained.load_processor(options, ["HELLO"])
    model, _ = pretrained.load_model(options, processor, new)
    least = pretrained.shortest(model.config, processor)
    assert 0.2 < least < 0.3
    model.train()
    for seconds, masked in ((least / Augmentation.factors[1], True), (0.15, False)):
        sound = torch.zeros(1, int(16_000 * seconds))
        labels = torch.tensor([[5]])
        with nullcontext() if masked else pytest.raises(ValueError, match="mask_length"):
            model(sound, attention_mask=torch.ones_like(sound, dtype=torch.long), labels=labels)
