"""What Moonshine's encoder knows reaches the model that grows from it, and stays there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import MoonshineConfig, MoonshineModel, Wav2Vec2ForCTC
from transformers.models.moonshine.modeling_moonshine import MoonshineEncoder

from asr_core.errors import DataError
from asr_core.recipe import moonshine, pretrain, teacher
from asr_core.recipe.rotation import fading, share_at
from asr_core.recipe.transplant import add_rotation, frames, shape, transplant

RATE = 16_000  # Hz


def tiny() -> MoonshineConfig:
    return MoonshineConfig(
        hidden_size=96,
        intermediate_size=192,
        encoder_num_hidden_layers=2,
        encoder_num_attention_heads=4,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=4,
    )


def encoder() -> MoonshineEncoder:
    """Random, with weights as large as trained ones, so that nothing is lost in its norms."""
    torch.manual_seed(3)
    made = MoonshineEncoder(tiny()).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.ndim > 1:
                size = 5.0 if "conv3" in name else 1.0
                weight.normal_(0, size * weight[0].numel() ** -0.5)
            elif "bias" in name:
                weight.normal_(0, 0.1)
    return made


def utterances(*seconds: float) -> list[torch.Tensor]:
    """Noise in bursts: (samples,) each."""
    rng = np.random.default_rng(0)
    drawn = []
    for duration in seconds:
        count = int(duration * RATE)
        loud = np.repeat(rng.uniform(0.1, 1, count // 800 + 1), 800)[:count]
        sound = rng.standard_normal(count) * loud
        drawn.append(torch.tensor((sound - sound.mean()) / sound.std(), dtype=torch.float32))
    return drawn


def grown(source: MoonshineEncoder) -> Wav2Vec2ForCTC:
    config = pretrain.config()
    config.update(shape(source.config))
    model = Wav2Vec2ForCTC(config).eval()
    add_rotation(model, source.config)
    transplant(source, model, utterances(1.0, 1.0, 1.0))
    return model


def likeness(one: torch.Tensor, other: torch.Tensor) -> float:
    one, other = (F.layer_norm(each, each.shape[-1:]) for each in (one, other))
    return (one * other).mean().item()


def test_the_model_hears_what_moonshine_hears():
    source = encoder()
    model = grown(source)
    (utterance,) = utterances(2.0)
    its = moonshine.layers(source, utterance)
    with torch.inference_mode():
        mine = model.wav2vec2(utterance[None], output_hidden_states=True).hidden_states
    assert mine[1].shape[1] == len(its[1]) == frames(torch.tensor(len(utterance)))
    content = torch.arange(mine[1].shape[2]) % (mine[1].shape[2] // 16) < 6
    for index in (0, 1):
        assert likeness(mine[index][0][:, content], its[index]) > 0.95


def test_a_batch_is_heard_as_each_of_its_utterances_is():
    model = grown(encoder())
    short, long = utterances(1.0, 2.0)
    padded = torch.nn.utils.rnn.pad_sequence([short, long], batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(RATE), torch.ones(2 * RATE)], True)
    for share in (1.0, 0.5, 0.0):
        for attention in fading(model):
            attention.share = share
        with torch.inference_mode():
            together = model(padded, mask.long()).logits[0]
            alone = model(short[None]).logits[0]
        torch.testing.assert_close(together[: len(alone)], alone, rtol=1e-3, atol=1e-3)


def test_the_new_attention_comes_near_the_rotating_one_and_then_does_without():
    model = grown(encoder())
    heard = torch.stack(utterances(1.5, 1.5))
    taught = [w for n, w in model.named_parameters() if any(part in n for part in pretrain.NEW)]
    learner = torch.optim.AdamW(taught, 2e-3)
    for attention in fading(model):
        attention.share = 1.0
    distances = []
    for _ in range(40):
        model(heard)
        distance = sum(attention.distance for attention in fading(model))
        learner.zero_grad()
        distance.backward()
        learner.step()
        distances.append(distance.item())
    assert distances[-1] < 0.7 * distances[0]
    for attention in fading(model):
        attention.share = 0.0
    plain = Wav2Vec2ForCTC(model.config).eval()
    weights = model.state_dict()
    plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
    with torch.inference_mode():
        torch.testing.assert_close(plain(heard).logits, model(heard).logits)


def test_a_student_comes_nearer_to_its_teacher_whatever_lies_in_the_padding():
    source = encoder()
    student = grown(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teacher, "WATCHED", (1, 2))
        instructor = teacher.Teacher(source, student.config)
        short, long = utterances(1.0, 1.5)
        heard = torch.nn.utils.rnn.pad_sequence([short, long], batch_first=True)
        mask = torch.arange(len(long)) < torch.tensor([[len(short)], [len(long)]])
        labels = torch.tensor([[5, 6, 7], [8, 9, -100]])
        lesson = instructor(heard, mask, labels)
        learner = torch.optim.AdamW([*student.parameters(), *instructor.views.parameters()], 2e-3)

        def distance(weight: float) -> torch.Tensor:
            outputs = student(heard, mask, labels=labels, output_hidden_states=True)
            outputs.loss = lesson.loss + 1  # as if it spelt worse
            return instructor.distance(lesson, outputs, weight)

        distances = []
        for _ in range(15):
            distances.append(distance(1.0))
            learner.zero_grad()
            distances[-1].backward()
            learner.step()
        assert distances[-1] < 0.7 * distances[0]
        learner.zero_grad()
        distance(0.0).backward()  # who does not listen learns nothing, but is looked at
        assert not student.lm_head.weight.grad.any()
        assert instructor.views[0].weight.grad.any()
        before = distance(1.0)
        heard[0, len(short) + 1600 :] = 9.0  # what lies in the padding does not count
        torch.testing.assert_close(distance(1.0), before)


def test_the_rotation_fades_once_and_for_all():
    assert [share_at(step, 10, 20) for step in (0, 10, 15, 20, 99)] == [1, 1, 0.5, 0, 0]
    assert share_at(0, 0, 0) == 0


def test_it_is_read_from_a_folder_and_from_the_8_bits_of_the_package(tmp_path):
    whole = MoonshineModel(tiny())
    whole.encoder.load_state_dict(encoder().state_dict())
    whole.save_pretrained(tmp_path / "folder")
    package(whole.encoder, tmp_path / "encoder_model.onnx")
    (utterance,) = utterances(1.0)
    expected = moonshine.layers(whole.encoder, utterance)[-1]
    folder = moonshine.layers(moonshine.load(str(tmp_path / "folder")), utterance)[-1]
    torch.testing.assert_close(folder, expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moonshine, "MoonshineConfig", tiny)
        eighth = moonshine.load(str(tmp_path / "encoder_model.onnx"))
    assert likeness(moonshine.layers(eighth, utterance)[-1], expected) > 0.98


def test_a_missing_file_is_named(tmp_path):
    missing = tmp_path / "encoder_model.onnx"
    with pytest.raises(DataError, match=r"There is no .*encoder_model\.onnx"):
        moonshine.load(str(missing))


def package(encoder: MoonshineEncoder, path: Path) -> None:
    """Write it as onnxruntime's quantizer names and scales things in the npm package."""
    import onnx

    found: dict[str, np.ndarray] = {}

    def quantize(name: str, weight: np.ndarray, zero: float, kind: type, shift: int) -> None:
        scale = np.abs(weight).max() / 127
        found[f"{name}_quantized"] = (np.round(weight / scale) + shift).astype(kind)
        found[f"{name}_scale"], found[f"{name}_zero_point"] = np.float32(scale), zero

    state = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
    number = 90  # and past 100: names do not sort as numbers do
    for name, weight in state.items():
        if name.startswith("conv") and weight.ndim == 3:
            quantize(name, weight, np.float32(0), np.int8, 0)
        elif name.startswith("groupnorm"):
            found["onnx::Mul_8" if "weight" in name else "onnx::Add_9"] = weight[:, None]
        elif weight.ndim == 1:
            found[name] = weight
    for layer in range(len(encoder.layers)):
        for matrix in moonshine.MATRICES:
            weight = state[f"layers.{layer}.{matrix}.weight"].T
            quantize(f"onnx::MatMul_{number}", weight, np.uint8(128), np.uint8, 128)
            number += 1
    tensors = [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in found.items()]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "encoder", [], [], tensors)), path)
