"""A row of a padded batch has the values that it has alone."""

from __future__ import annotations

import pytest
import tiny
import torch
from transformers import Wav2Vec2FeatureExtractor

from asr_core import layers, padding, pieces
from asr_core.frames import Frames

LENGTHS = (16_000, 400, 9_999, 12_345, 15_999, 723)  # samples


def model(kind: str, norm: str, stable: bool = False, **options):
    norms = {"feat_extract_norm": norm, "do_stable_layer_norm": stable}
    return tiny.ctc(kind, **{"initializer_range": 0.1} | norms | options)


@pytest.mark.parametrize("on_a_cpu", [False, True])
@pytest.mark.parametrize("kind", padding.KINDS)
@pytest.mark.parametrize(
    ("norm", "stable"), [("group", False), ("layer", False), ("layer", True), ("group", True)]
)
def test_emissions_in_a_padded_batch_are_those_of_each_alone(kind, norm, stable, on_a_cpu):
    plain, ready = model(kind, norm, stable), model(kind, norm, stable)
    if on_a_cpu:
        ready = layers.rearrange(pieces.rearrange(ready, ready.config))
    ready = padding.rearrange(ready)
    assert padding.is_harmless(plain.config)
    frames = Frames.of(plain.config, Wav2Vec2FeatureExtractor())
    rows = [torch.randn(samples) for samples in LENGTHS]
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence(
        [torch.ones(samples, dtype=torch.long) for samples in LENGTHS], batch_first=True
    )
    with torch.inference_mode():
        with padding.lengths(ready.config, [*LENGTHS]):
            together = ready(batch, attention_mask=mask).logits
        for row, logits in zip(rows, together, strict=True):
            (alone,) = plain(row[None]).logits
            assert len(alone) == frames(len(row))
            torch.testing.assert_close(logits[: len(alone)], alone, rtol=1e-4, atol=1e-4)
        (alone,) = ready(rows[0][None]).logits  # nothing of the batch is left behind
        torch.testing.assert_close(alone, together[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("wav2vec2", {"add_adapter": True}),
        ("hubert", {"conv_pos_batch_norm": True}),
        ("data2vec-audio", {}),
        ("sew", {}),
        ("wav2vec2-conformer", {}),
        ("wav2vec2-bert", {}),
    ],
)
def test_models_that_let_padding_in_are_known(kind, options):
    from transformers import AutoConfig

    assert not padding.is_harmless(AutoConfig.for_model(kind, **options))
