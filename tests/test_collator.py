"""DataCollatorCTCWithPadding: inputs and labels padded apart, and no padding in the loss."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tiny
import torch
from transformers import AutoModelForCTC, AutoProcessor

from asr_core.collator import IGNORED, DataCollatorCTCWithPadding

LENGTHS = (8_000, 16_000, 4_800)
LABELS = ([5, 6, 7], [8], [9, 0, 9, 9, 10])  # 0 is the blank and the padding, and here a label


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.wav2vec2(tmp_path_factory.mktemp("model"), norm="layer")


@pytest.fixture(scope="module")
def processor(model):
    return AutoProcessor.from_pretrained(model)


@pytest.fixture
def rows():
    return [
        {"input_values": tiny.babble(length / 16_000, seed=length), "labels": labels}
        for length, labels in zip(LENGTHS, LABELS, strict=True)
    ]


def test_inputs_and_labels_have_lengths_of_their_own(processor, rows):
    batch = DataCollatorCTCWithPadding(processor)(rows)
    assert batch["input_values"].shape == (3, max(LENGTHS))
    assert batch["labels"].shape == (3, 5)
    for row, length, labels in zip(range(3), LENGTHS, LABELS, strict=True):
        assert batch["attention_mask"][row].sum() == length
        assert not batch["input_values"][row, length:].any()
        assert batch["labels"][row].tolist() == labels + [IGNORED] * (5 - len(labels))
    assert np.array_equal(batch["input_values"][2, :4_800], rows[2]["input_values"])


def test_rows_are_prepared_when_their_batch_is_made(processor, rows):
    seen = []

    def prepare(row):
        seen.append(row["name"])
        return rows[row["name"]]

    collator = DataCollatorCTCWithPadding(processor, prepare)
    batch = collator([{"name": 1}, {"name": 0}])
    assert seen == [1, 0]
    assert torch.equal(batch["labels"], torch.tensor([[8, IGNORED, IGNORED], [5, 6, 7]]))


def test_a_model_that_wants_no_mask_gets_none_unless_asked_for(tmp_path, rows):
    tiny.processor(tmp_path, return_attention_mask=False)
    wants_none = AutoProcessor.from_pretrained(tmp_path)
    assert set(DataCollatorCTCWithPadding(wants_none)(rows)) == {"input_values", "labels"}
    mask = DataCollatorCTCWithPadding(wants_none, masked=True)(rows)["attention_mask"]
    assert mask.sum(dim=1).tolist() == [*LENGTHS]


def test_mel_features_are_padded_in_frames(processor):
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertProcessor

    extractor = SeamlessM4TFeatureExtractor(feature_size=20, num_mel_bins=20, stride=2)
    mel = Wav2Vec2BertProcessor(extractor, processor.tokenizer)

    def prepare(row):
        features = extractor(row["sound"], sampling_rate=16_000)["input_features"][0]
        return {"input_features": features, "labels": row["labels"]}

    sounds = [tiny.babble(length / 16_000) for length in LENGTHS]
    collator = DataCollatorCTCWithPadding(mel, prepare)
    batch = collator(
        [{"sound": s, "labels": labels} for s, labels in zip(sounds, LABELS, strict=True)]
    )
    longest = prepare({"sound": sounds[1], "labels": []})["input_features"]
    assert batch["input_features"].shape == (3, *longest.shape)
    assert np.allclose(batch["input_features"][1], longest)
    assert batch["attention_mask"].sum(dim=1).argmax() == 1
    assert batch["labels"].shape == (3, 5)


def test_the_loss_of_a_batch_is_that_of_its_rows(model, processor, rows):
    """Padding of a label must not count as a character to say."""
    network = AutoModelForCTC.from_pretrained(
        model, ctc_loss_reduction="sum", apply_spec_augment=False
    ).train(False)
    rows[2]["labels"] = [9, 11, 9, 12, 10]  # CTC cannot say the blank
    collator = DataCollatorCTCWithPadding(processor)
    with torch.no_grad():
        together = network(**collator(rows)).loss
        apart = [network(**collator([row])).loss for row in rows]
    assert together.item() == pytest.approx(sum(loss.item() for loss in apart), rel=1e-3)


def test_workers_end_with_the_program_when_one_of_them_fails(model):
    program = """
import sys
from torch.utils.data import DataLoader
from transformers import AutoProcessor
from asr_core.collator import DataCollatorCTCWithPadding

def prepare(row):
    if row == 5:
        raise ValueError("this one is gone")
    return {"input_values": [0.0] * 8000, "labels": [5]}

collator = DataCollatorCTCWithPadding(AutoProcessor.from_pretrained(sys.argv[1]), prepare)
for _ in DataLoader(range(100), collate_fn=collator, num_workers=2):
    pass
"""
    command = [sys.executable, "-c", program, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "this one is gone" in done.stderr
