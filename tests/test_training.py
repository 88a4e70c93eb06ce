"""What keeps watch while a model learns: batches, collapse, metrics, precision."""

from __future__ import annotations

import errno
import itertools
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCTC,
    AutoProcessor,
    EvalPrediction,
)

import train
from asr_core import (
    audio,
    augmentation,
    data,
    evaluation,
    language_model_sources,
    metrics,
    models,
    preparation,
    pretrained,
    text,
    training,
    watch,
)
from asr_core.errors import DataError, ModelError, OptionError, sentence
from asr_core.files import share_weights
from asr_core.flags import MEASURED, parse
from asr_core.frames import Frames
from asr_core.recognizer import Recognizer


def test_batches_by_duration_hold_every_row_once_within_the_budget():
    lengths = np.random.default_rng(0).integers(8_000, 160_000, size=500).tolist()
    batches = training.DurationBatches(lengths, 400_000, seed=1)
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(500))
    padded = [len(batch) * max(lengths[row] for row in batch) for batch in batches]
    assert max(padded) <= 400_000
    # Of similar length: hardly any padding.
    assert sum(padded) < 1.1 * sum(lengths)


def test_every_epoch_has_an_order_of_its_own_that_can_be_had_again():
    batches = training.DurationBatches(list(range(1, 101)), 300, seed=1)
    first, again = list(batches), list(batches)
    assert first == again
    batches.set_epoch(1)
    assert list(batches) != first
    assert sorted(map(sorted, batches)) == sorted(map(sorted, first))


def test_one_row_longer_than_the_budget_is_a_batch_alone():
    assert sorted(map(len, training.DurationBatches([10, 500, 10], 100, seed=0))) == [1, 2]


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    """A model that answers every frame with the blank, and will not soon stop to."""
    folder = tiny.wav2vec2(tmp_path_factory.mktemp("blank"))
    model = AutoModelForCTC.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.bias.zero_()
        model.lm_head.bias[model.config.pad_token_id] = 50.0
    model.save_pretrained(folder)
    return folder


def trainer_of(options, arguments, rows) -> training.CTCTrainer:
    """Learns from `rows` and is measured on them."""
    processor, new = pretrained.load_processor(options, rows["transcription"])
    model, _ = pretrained.load_model(options, processor, new)
    frames = Frames.of(model.config, processor.feature_extractor)
    prepared = preparation.prepare(rows, processor, frames).rows
    return training.make_trainer(options, arguments, model, processor, prepared, prepared)


def run(folder, output, *flags: str) -> training.CTCTrainer:
    options, arguments = parse(
        [
            *("--preset", "quickstart", "--model", str(folder), "--output_dir", str(output)),
            *("--train_split", "train[:4]", "--batch_seconds", "8", "--save_strategy", "no"),
            *("--load_best_model_at_end", "False", "--logging_steps", "1", *flags),
        ]
    )
    rows = data.load("sample", split="train[:4]")
    trainer = trainer_of(options, arguments, rows)
    training.run(trainer, None)
    return trainer


def test_the_loss_that_is_told_does_not_grow_with_the_batches_of_a_step(blank, tmp_path):
    told = []
    for batches in (1, 4):
        flags = f"--max_steps 1 --learning_rate 0 --gradient_accumulation_steps {batches}"
        flags += " --batch_seconds 0 --per_device_train_batch_size 1 --augment none"
        trainer = run(blank, tmp_path / str(batches), *flags.split())
        told.append(trainer.state.log_history[0]["loss"])
    assert told[1] < 2.5 * told[0]


def test_training_takes_no_more_cores_than_a_container_may_use(two_cores_of_four, blank, tmp_path):
    assert torch.get_num_threads() == 4
    run(blank, tmp_path, "--max_steps", "1")
    assert torch.get_num_threads() == 2


def test_a_training_that_diverged_unmeasured_is_not_saved(tmp_path):
    folder = tiny.wav2vec2(tmp_path / "model")
    flags = "--max_steps 2 --learning_rate 1e30 --warmup_steps 0 --eval_strategy no"
    with pytest.raises(ModelError, match=r"The training diverged: at step 2 .*\(now 1e\+30\)"):
        run(folder, tmp_path / "out", *flags.split())


STUCK = "--max_steps 2 --warmup_steps 0 --learning_rate 1e-8 --eval_strategy steps --eval_steps 1"


def test_a_run_that_collapsed_says_what_to_change(blank, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        run(blank, tmp_path, *STUCK.split())
    said = [r.message for r in caplog.records if "says nothing" in r.message]
    assert said
    assert "100% of the hypotheses are empty" in said[0]
    assert "raise --learning_rate (now 1e-08" in said[0]


def test_while_it_warms_up_nobody_is_alarmed(blank, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        run(blank, tmp_path, *STUCK.split(), "--warmup_steps", "100")
    assert not [r for r in caplog.records if "says nothing" in r.message]


def test_progress_tells_step_loss_rate_and_time_left(blank, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        run(blank, tmp_path, *STUCK.split())
    lines = [r.message for r in caplog.records if r.message.startswith("step ")]
    assert any("step 1/2" in line and "loss" in line and "left" in line for line in lines)
    assert any("WER" in line and "CER" in line for line in lines)


def test_progress_tells_how_fast_it_goes_and_what_is_waited_for(blank, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        trainer = run(blank, tmp_path, *STUCK.split())
    logged = [entry for entry in trainer.state.log_history if "waiting" in entry]
    assert len(logged) == 2
    assert all(entry["audio_seconds_per_second"] > 0 for entry in logged)
    assert all(0 <= entry["waiting"] < 1 for entry in logged)
    assert any("s of audio/s" in r.message and "waiting" in r.message for r in caplog.records)


def test_korean_is_measured_by_syllables_also_where_jamo_are_learnt(tmp_path):
    options, _ = parse(f"--vocabulary data --hangul jamo --model {tiny.wav2vec2(tmp_path)}".split())
    processor, _ = pretrained.load_processor(options, ["계좌 잔액"])
    said, heard = processor.tokenizer([text.decompose(t) for t in ("계좌", "계자")]).input_ids
    measured = training.Measure(processor)(EvalPrediction(np.array([heard]), np.array([said])))
    assert measured["cer"] == 0.5  # one of two syllables; of five jamo only one


def test_a_fresh_head_is_drawn_by_the_seed(tmp_path, monkeypatch):
    drawn = []

    def draw(*_):
        drawn.append(torch.rand(1).item())
        raise OptionError("That was all.")

    monkeypatch.setattr(pretrained, "load_model", draw)
    model = tiny.wav2vec2(tmp_path / "model")
    flags = ["--preset", "quickstart", "--model", str(model), "--output_dir", str(tmp_path / "out")]
    for seed in ("1", "1", "2"):
        with pytest.raises(OptionError, match="That was all"):
            train.main([*flags, "--seed", seed])
    assert drawn[0] == drawn[1] != drawn[2]


def test_half_precision_learns_what_full_precision_does(tmp_path):
    """The loss and the gradients of our step beside those of transformers as it comes."""
    folder = tiny.wav2vec2(tmp_path / "model", initializer_range=0.02)
    flags = "--mask_time_prob 0 --dropout 0 --freeze feature_encoder --use_cpu True --bf16 True"
    options, arguments = parse(
        ["--model", str(folder), "--output_dir", str(tmp_path / "out"), *flags.split()]
    )
    rows = data.load("sample", split="train[:4]")
    trainer = trainer_of(options, arguments, rows)
    model = trainer.model
    batch = next(iter(trainer.get_train_dataloader()))
    with trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(model.train(), dict(batch))
    loss.backward()

    plain = AutoModelForCTC.from_pretrained(folder, ctc_loss_reduction="mean").eval()
    expected = plain(**batch).loss
    expected.backward()
    torch.testing.assert_close(loss.detach(), expected.detach(), rtol=0.01, atol=0.01)
    # All of them as one: some, such as that of a key's bias, are nothing but rounding.
    learnt = [name for name, p in model.named_parameters() if p.grad is not None]
    ours, exact = (
        torch.cat([found[name].grad.flatten() for name in learnt])
        for found in (dict(model.named_parameters()), dict(plain.named_parameters()))
    )
    assert torch.nn.functional.cosine_similarity(ours, exact, dim=0) > 0.99
    assert not any("feature_extractor" in name for name in learnt)


def test_rows_are_changed_anew_in_each_epoch_and_alike_when_it_is_repeated():
    row = {**data.load("sample", split="train[:1]")[0], "row": 0, "labels": [1]}
    processor = AutoProcessor.from_pretrained(models.EMBEDDED_FOLDER)
    features = preparation.Features(processor, augmentation.of("all", 16_000), seed=1)
    first, again = features(row)["input_values"], features(row)["input_values"]
    assert np.array_equal(first, again)
    features.epoch = 1
    assert not np.array_equal(first, features(row)["input_values"])
    features.epoch = 0  # a sentence that is there twice is changed in two ways
    assert not np.array_equal(first, features(row | {"row": 1})["input_values"])


def test_rows_joined_with_padding_spell_nothing_more(tmp_path):
    processor = AutoProcessor.from_pretrained(tiny.wav2vec2(tmp_path))
    ids = processor.tokenizer("SO").input_ids
    predictions = np.array([[*ids, -100, -100], [*ids, 0, ids[0]]])
    labels = np.array([[*ids, -100], [*ids, ids[0]]])
    measured = training.Measure(processor)(EvalPrediction(predictions, labels))
    assert {*measured, "loss"} == {*MEASURED}
    assert measured["wer"] == 0.0
    assert measured["empty_hypotheses"] == 0.0


def test_what_cannot_be_spelt_is_not_right_because_it_was_learnt(tmp_path):
    processor = AutoProcessor.from_pretrained(tiny.wav2vec2(tmp_path))
    unknown = processor.tokenizer.unk_token_id
    ids = np.array([[unknown, 0, unknown, 0]])
    measured = training.Measure(processor)(EvalPrediction(ids, np.array([[unknown, unknown]])))
    assert measured["wer"] == measured["cer"] == measured["empty_hypotheses"] == 1.0


def test_a_character_without_a_token_counts_as_one_while_training_too(tmp_path):
    processor = AutoProcessor.from_pretrained(tiny.wav2vec2(tmp_path))
    said, heard = "ROUTE 66 TO ŁÓDŹ", "ROUTE TO DX"
    labels, ids = (np.array([processor.tokenizer(t).input_ids]) for t in (said, heard))
    measured = training.Measure(processor)(EvalPrediction(ids, labels))
    assert measured["cer"] == metrics.cer([heard], [said])
    assert measured["wer"] == metrics.wer([heard], [said])


def test_a_run_that_fails_leaves_the_folder_its_language_model(tmp_path):
    kept = tmp_path / "language_model" / "settings"
    kept.parent.mkdir()
    kept.write_text("of an earlier run")
    flags = ["--preset", "quickstart", "--output_dir", str(tmp_path), "--longest", "0.2"]
    with pytest.raises(DataError, match="No row of the train part"):
        train.main([*flags, "--language_model", "none"])
    assert kept.exists()


@pytest.mark.parametrize("built", [True, False])
def test_a_language_model_that_the_model_cannot_spell_is_refused_before_the_work(
    tmp_path, monkeypatch, built
):
    words = map("".join, itertools.product("가나다라마바사", "각난단랄맘밥삿", "은는이가를을의"))
    (tmp_path / "text.txt").write_text(" ".join(words), "utf-8")
    text, output = str(tmp_path / "text.txt"), tmp_path / "out"
    flags = ["--preset", "quickstart", "--output_dir", str(output), "--language_model"]
    if built:
        flags += ["build", "--text", text, "--train_split", "train[:6]"]
    else:
        language_model_sources.build([text], tmp_path / "lm")
        flags += [str(tmp_path / "lm")]
    monkeypatch.setattr(training, "run", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(ModelError, match="made for another alphabet"):
        train.main(flags)


@pytest.mark.slow
def test_what_is_measured_while_training_is_what_people_will_get(tmp_path):
    """Rows in a batch are as long as the longest: what a model makes of the rest is not read."""
    options, arguments = parse(["--preset", "quickstart", "--output_dir", str(tmp_path)])
    rows = data.load("sample", split="test[:8]")
    lengths = {len(audio.load(data.row_source(row), 16_000)) for row in rows}
    assert max(lengths) > 1.3 * min(lengths)
    trainer = trainer_of(options, arguments, rows)
    measured = trainer.evaluate()
    alone = evaluation.evaluate(Recognizer(dtype="float32", language_model="none"), rows, "sample")
    assert measured["eval_cer"] == pytest.approx(alone.cer, abs=1e-6)
    assert measured["eval_wer"] == pytest.approx(alone.wer, abs=1e-6)
    assert 0.4 < measured["eval_blank_frames"] < 0.8  # of the frames that are heard


def test_clips_grouped_by_length_really_are(tmp_path):
    """The guide stores a batch axis, and then every length is 1."""
    folder = tiny.wav2vec2(tmp_path / "model")
    options, arguments = parse(
        ["--preset", "guide", "--model", str(folder), "--output_dir", str(tmp_path)]
    )
    rows = data.load("sample", split="train[:32]")
    trainer = trainer_of(options, arguments, rows)
    spread = [
        np.ptp(batch["input_values"].shape[1] - (batch["input_values"] == 0).sum(1).numpy())
        for batch in trainer.get_train_dataloader()
    ]
    assert np.mean(spread) < np.ptp(trainer.train_dataset["length"]) / 2


def test_what_is_measured_is_never_changed_and_what_is_learnt_from_is_in_each_epoch(tmp_path):
    folder = tiny.wav2vec2(tmp_path / "model")
    flags = f"--preset guide --model {folder} --output_dir {tmp_path} --augment all --patience 3"
    options, arguments = parse(flags.split())
    rows = data.load("sample", split="train[:2]")
    trainer = trainer_of(options, arguments, rows)
    measured, learnt = trainer.data_collator, trainer.train_collator
    trainer.get_train_dataloader()
    assert trainer.data_collator is measured
    assert measured.prepare.augment is None and learnt.prepare.augment is not None
    callbacks = trainer.callback_handler.callbacks
    assert [each for each in callbacks if isinstance(each, watch.Patience)]
    (epoch,) = (each for each in callbacks if isinstance(each, training.Epoch))
    epoch.on_epoch_begin(arguments, SimpleNamespace(epoch=2.0), None)
    assert learnt.prepare.epoch == 2 and measured.prepare.epoch == 0


def test_batches_know_the_epoch_also_where_others_stand_before_them(blank, tmp_path):
    trainer = run(blank, tmp_path, "--max_steps", "1")
    (epoch,) = (c for c in trainer.callback_handler.callbacks if isinstance(c, training.Epoch))
    epoch.on_epoch_begin(trainer.args, SimpleNamespace(epoch=3.5), None)
    assert trainer.batches.epoch == 3


def test_a_gpu_that_is_too_small_is_one_sentence(tmp_path):
    with (
        pytest.raises(ModelError, match="Training stopped because the GPU's memory is too small"),
        training._writing(tmp_path, "Training stopped"),
    ):
        raise torch.OutOfMemoryError("Tried to allocate 20 GiB")


def test_an_optimizer_that_cannot_be_had_is_one_sentence():
    def missing(num_training_steps):
        raise ImportError("You need to install `bitsandbytes`")

    arguments = SimpleNamespace(optim="adamw_bnb_8bit", lr_scheduler_type="linear")
    trainer = SimpleNamespace(args=arguments, create_optimizer_and_scheduler=missing)
    with pytest.raises(OptionError, match=r"--optim adamw_bnb_8bit .* You need to install"):
        training.run(trainer, None)


def test_a_full_disk_at_the_end_is_one_sentence_too(tmp_path):
    def full():
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    trainer = SimpleNamespace(args=SimpleNamespace(output_dir=str(tmp_path)), save_model=full)
    options, _ = parse(["--preset", "quickstart"])
    with pytest.raises(ModelError, match=r"The model was not saved.*with another --output_dir\."):
        training.save(trainer, options)
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5/trainer_state.json").write_text('{"global_step": 5}')
    with pytest.raises(ModelError, match=r"make room and run the same command with --resume\."):
        training.save(trainer, options)


def test_of_a_copy_that_fails_the_file_that_cannot_be_written_is_named():
    full = OSError(errno.ENOSPC, "No space left on device", "from.bin", None, "to.bin")
    assert sentence(full) == "to.bin cannot be used: no space left on device."
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory", "from.bin", None, "to.bin")
    assert sentence(gone) == "from.bin cannot be used: no such file or directory."


@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError("No connection.\nTry again."), "No connection."), (OSError(), "OSError")],
)
def test_a_librarys_error_is_told_in_its_first_line_or_by_its_name(error, said):
    assert sentence(error) == said


def test_all_weights_may_be_read_by_who_may_read_the_configuration(tmp_path):
    names = [f"model-{number:05}-of-00002.safetensors" for number in (1, 2)]
    for name in ("config.json", *names):
        (tmp_path / name).touch(0o644 if name == "config.json" else 0o600)
    share_weights(tmp_path)
    usual = (tmp_path / "config.json").stat().st_mode
    assert [(tmp_path / name).stat().st_mode for name in names] == [usual] * 2
