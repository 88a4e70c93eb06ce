"""Models that weigh nothing: random weights, real architectures, real processors.

What they write is nonsense, so tests with them compare one way of transcribing with another.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asr_core.decoding import Alphabet, GreedyDecoder
from asr_core.recognizer import Recognizer
from asr_core.turns import Turns

LETTERS = "|ETAONIHSRDLUMWCFGYPBVK'XJQZ"


@pytest.fixture(scope="session")
def embedded() -> Recognizer:
    """The recognizer with the model that comes with the package, and no language model."""
    return Recognizer("embedded", language_model="none")


@pytest.fixture(scope="session", params=["group", "layer"])
def tiny(request, tmp_path_factory) -> Path:
    """Folders of tiny random models: like wav2vec2-base, and like wav2vec2-large."""
    return wav2vec2(tmp_path_factory.mktemp("models") / request.param, request.param)


def wav2vec2(folder: Path, norm: str = "group", seed: int = 0, **options) -> Path:
    """A random `Wav2Vec2ForCTC` with its processor; `norm` is "group" (base) or "layer" (large)."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    processor(folder, return_attention_mask=norm == "layer")
    settings = {
        "vocab_size": len(LETTERS) + 4,
        "pad_token_id": 0,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "conv_dim": (32,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "feat_extract_norm": norm,
        "do_stable_layer_norm": norm == "layer",
        "initializer_range": 0.5,  # wide, that the letters change often and the blank wins seldom
    }
    torch.manual_seed(seed)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**settings | options))
    model.lm_head.bias.data[1:4] = -1000  # no trained model writes <s>, </s> or <unk>
    model.save_pretrained(folder)
    return folder


def ctc(kind: str, width: int = 32, **options):
    """A random model of a kind that hears the waveform, such as "wavlm", ready for inference."""
    import torch
    from transformers import AutoConfig, AutoModelForCTC

    settings = {
        "vocab_size": 20,
        "hidden_size": width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 2 * width,
        "conv_dim": (width // 2,) * 7,
        "conv_stride": (5, 2, 2, 2, 2, 2, 2),
        "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
    }
    torch.manual_seed(0)
    return AutoModelForCTC.from_config(AutoConfig.for_model(kind, **settings | options)).eval()


def processor(folder: Path, **options) -> None:
    """The processor of facebook/wav2vec2-base-960h, but for the options."""
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["<pad>", "<s>", "</s>", "<unk>", *LETTERS]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    Wav2Vec2Processor(
        Wav2Vec2FeatureExtractor(**options),
        Wav2Vec2CTCTokenizer(str(vocabulary), do_lower_case=False),
    ).save_pretrained(folder)


class Ear(Recognizer):
    """A recognizer that hears how loud each frame is, and nothing else.

    Its model is a pure function of single frames, so windows, context and decoding must not
    change a letter: what it writes of the whole is right by definition.
    """

    def __init__(self) -> None:
        self.name = "ear"
        self.rate, self.hop = 16_000, 320
        self.alphabet = Alphabet(("", " ", *"ABCDEFGH"), blank=0)
        self.windows: list[int] = []  # samples in each window that was looked at
        self._turns = Turns()

    def decoder(self) -> GreedyDecoder:
        return GreedyDecoder(self.alphabet, self.hop / self.rate)

    def forward(self, batch: list[np.ndarray]) -> list[np.ndarray]:
        self.windows += map(len, batch)
        outputs = []
        for samples in batch:
            # Like wav2vec2, one frame fewer than there are hops: the last lacks its context.
            frames = samples[: len(samples) // self.hop * self.hop].reshape(-1, self.hop)[:-1]
            column = (np.abs(frames).max(axis=1, initial=0) * 10).astype(int)
            emissions = np.full((len(frames), len(self.alphabet.tokens)), -20.0, np.float32)
            emissions[np.arange(len(frames)), np.minimum(column, 9)] = -0.1
            outputs.append(emissions)
        return outputs


def babble(seconds: float, seed: int = 0, rate: int = 16_000) -> np.ndarray:
    """Sound that changes its loudness every 20 ms: each frame another letter for `Ear`."""
    draw = np.random.default_rng(seed)
    loudness = draw.integers(0, 10, round(seconds * 50)) / 10 + 0.05
    return np.repeat(loudness, rate // 50).astype(np.float32)
