"""Fine-tuning takes any CTC architecture: waveform or mel features, and says which it cannot."""

from __future__ import annotations

import pytest

from asr_core import data, preparation, pretrained, training
from asr_core.collator import IGNORED
from asr_core.errors import AsrError
from asr_core.flags import parse
from asr_core.frames import Frames
from asr_core.recognizer import Recognizer

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
WAVEFORM = {**SMALL, "conv_dim": (16,) * 7, "num_conv_pos_embedding_groups": 2}


def config(kind: str):
    import transformers as t

    if kind == "parakeet_ctc":
        encoder = t.ParakeetEncoderConfig(
            **SMALL, subsampling_conv_channels=16, num_key_value_heads=2
        )
        return t.ParakeetCTCConfig(encoder_config=encoder)
    made = {
        "wav2vec2": lambda: t.Wav2Vec2Config(**WAVEFORM),
        "group": lambda: t.Wav2Vec2Config(**WAVEFORM),
        "hubert": lambda: t.HubertConfig(**WAVEFORM),
        "wavlm": lambda: t.WavLMConfig(**WAVEFORM),
        "wav2vec2-bert": lambda: t.Wav2Vec2BertConfig(
            **SMALL, vocab_size=30, output_hidden_size=32, feature_projection_input_dim=160
        ),
    }
    return made[kind]()


def extractor(kind: str):
    import transformers as t

    if kind == "wav2vec2-bert":
        return t.SeamlessM4TFeatureExtractor()
    if kind == "parakeet_ctc":
        return t.ParakeetFeatureExtractor()
    # wav2vec2-base, with its group norm, is given no mask.
    return t.Wav2Vec2FeatureExtractor(return_attention_mask=kind != "group")


@pytest.mark.parametrize(
    "kind", ["wav2vec2", "group", "hubert", "wavlm", "wav2vec2-bert", "parakeet_ctc"]
)
def test_two_steps_save_and_transcribe(kind, tmp_path):
    from transformers import AutoModelForCTC

    base, folder = tmp_path / "base", tmp_path / "tuned"
    AutoModelForCTC.from_config(config(kind)).save_pretrained(base)
    extractor(kind).save_pretrained(base)
    flags = ("--preset quickstart --max_steps 2 --save_strategy no --eval_strategy no").split()
    options, arguments = parse(
        [
            *flags,
            *("--load_best_model_at_end", "False", "--vocabulary", "data", "--case", "upper"),
            *("--model", str(base), "--output_dir", str(folder), "--batch_seconds", "8"),
        ]
    )
    rows = data.load("sample", split="train[:6]")
    processor, new = pretrained.load_processor(options, rows["transcription"])
    model, fresh = pretrained.load_model(options, processor, new)
    assert fresh
    prepared = preparation.prepare(
        rows, processor, Frames.of(model.config, processor.feature_extractor)
    )
    # Parakeet has a frame every 80 ms, too few for the characters of most sentences.
    assert len(prepared.rows) == 6 or kind == "parakeet_ctc"
    trainer = training.make_trainer(
        options, arguments, model, processor, prepared.rows, prepared.rows
    )
    training.run(trainer, None)
    losses = [entry["train_loss"] for entry in trainer.state.log_history if "train_loss" in entry]
    assert losses and losses[-1] > 0
    _frames_of_padding_say_nothing(trainer)
    training.save(trainer, options)
    weights, settings = folder / "model.safetensors", folder / "config.json"
    assert weights.stat().st_mode == settings.stat().st_mode  # who may read one may read both

    recognizer = Recognizer(str(folder))
    transcript = recognizer.transcribe(data.row_source(prepared.rows[0]))
    assert transcript.duration == pytest.approx(prepared.rows[0]["length"] / 16_000, abs=0.01)
    assert all(word.end <= transcript.duration + 0.1 for word in transcript.words)


def _frames_of_padding_say_nothing(trainer: training.CTCTrainer) -> None:
    batch, given = next(iter(trainer.get_eval_dataloader())), []
    hook = trainer.model.register_forward_pre_hook(
        lambda _, args, inputs: given.extend(inputs), with_kwargs=True
    )
    _, best, _ = trainer.prediction_step(trainer.model, batch, prediction_loss_only=False)
    hook.remove()
    wants_a_mask = trainer.processing_class.feature_extractor.return_attention_mask
    assert ("attention_mask" in given) == wants_a_mask
    counts = training.frames(trainer.model, batch["attention_mask"].sum(dim=-1)).tolist()
    assert len(set(counts)) > 1 or len(counts) == 1
    for row, count in zip(best.tolist(), counts, strict=True):
        assert IGNORED not in row[:count]
        assert set(row[count:]) <= {IGNORED}


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert", "parakeet_ctc"])
def test_of_a_frozen_base_the_head_alone_learns(kind):
    from transformers import AutoModelForCTC

    model = AutoModelForCTC.from_config(config(kind))
    pretrained.freeze(model, "base")
    learns = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert learns == {"ctc_head" if kind == "parakeet_ctc" else "lm_head"}


def test_a_model_that_is_not_ctc_is_named(tmp_path):
    from transformers import WhisperConfig

    WhisperConfig().save_pretrained(tmp_path)
    options, _ = parse(["--preset", "quickstart", "--model", str(tmp_path)])
    with pytest.raises(AsrError, match=r"whisper.*not trained with CTC"):
        pretrained.load_model(options, None)
