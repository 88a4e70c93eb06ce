"""Moonshine tiny (Jeffries et al., 2024, MIT licence), whose encoder the embedded model grows from.

It has heard 200,000 hours of English, reads the waveform itself, and is built almost as wav2vec 2.0
is: convolutions, then layers of attention. `transplant` moves its weights over.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import MoonshineConfig, MoonshineModel
from transformers.models.moonshine.modeling_moonshine import MoonshineEncoder

from asr_core.errors import DataError

LEVEL = 0.03  # of unit-variance samples: here its tanh is all but a straight line
KERNELS, STRIDES = (127, 7, 3), (64, 3, 2)  # of its convolutions
MATRICES = (
    "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj mlp.fc1 mlp.fc2".split()
)


def load(source: str) -> MoonshineEncoder:
    """From the Hub or a folder of transformers', or from `encoder_model.onnx`.

    The latter lies in the npm package @moonshine-ai/moonshine-js, in 8 bits. Raises DataError when
    there is none.
    """
    if source.endswith(".onnx"):
        return _read_onnx(Path(source))
    try:
        return MoonshineModel.from_pretrained(source, dtype=torch.float32).encoder.eval()
    except (OSError, ValueError) as error:
        raise DataError(f"{source} is no Moonshine that can be read: {error}") from error


def _read_onnx(path: Path) -> MoonshineEncoder:
    if not path.is_file():
        raise DataError(f"There is no {path}.")
    try:
        import onnx
    except ImportError as error:
        raise DataError(f"Reading {path} needs onnx: `pip install onnx`.") from error
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}

    def whole(name: str) -> np.ndarray:
        return arrays[f"{name}_quantized"].astype(np.float32) * arrays[f"{name}_scale"]

    def centred(name: str) -> np.ndarray:
        return whole(name) - np.float32(arrays[f"{name}_zero_point"]) * arrays[f"{name}_scale"]

    def number(name: str) -> int:
        return int(name.removesuffix("_quantized").rsplit("_", 1)[1])

    encoder = MoonshineEncoder(MoonshineConfig())
    state = {name: arrays[name] for name in encoder.state_dict() if name in arrays}
    for name in ("conv1.weight", "conv2.weight", "conv3.weight"):
        state[name] = whole(name) + arrays[f"{name}_zero_point"]
    for name, kind in (("weight", "onnx::Mul_"), ("bias", "onnx::Add_")):
        state[f"groupnorm.{name}"] = next(a[:, 0] for n, a in arrays.items() if n.startswith(kind))
    products = [n for n in arrays if n.startswith("onnx::MatMul_") and n.endswith("_quantized")]
    products.sort(key=number)  # in the order of the layers
    for index, name in enumerate(products):
        layer, matrix = divmod(index, len(MATRICES))
        weight = centred(name.removesuffix("_quantized")).T
        state[f"layers.{layer}.{MATRICES[matrix]}.weight"] = weight
    encoder.load_state_dict({n: torch.tensor(a, dtype=torch.float32) for n, a in state.items()})
    return encoder.eval()


@torch.no_grad()
def convolve(
    encoder: MoonshineEncoder, utterance: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What its second and third convolution make of `utterance`, before gelu: (frames, channels).

    `utterance` is of shape (samples,), with zero mean and unit variance.
    """
    first = encoder.groupnorm(torch.tanh(encoder.conv1(utterance[None, None] * LEVEL)))
    second = encoder.conv2(first)
    third = encoder.conv3(F.gelu(second))
    return second[0].T, third[0].T


@torch.no_grad()
def layers(encoder: MoonshineEncoder, utterance: torch.Tensor) -> list[torch.Tensor]:
    """What goes into each layer and what comes out of the last: tensors of (frames, features)."""
    return [h[0] for h in encoder(utterance[None] * LEVEL, output_hidden_states=True).hidden_states]
