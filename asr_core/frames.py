"""How many frames a model makes of sound, and how far apart they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Frames:
    """Frames of a model with such `layers`.

    They are the (kernel, stride) of each downsampling layer, in order: convolutions over the
    waveform or mel features, and an adapter behind the encoder.
    """

    layers: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, config: Any, extractor: Any, adapter: bool = True) -> Frames:
        """Of a model with this configuration and feature extractor; without its `adapter`, those
        that the encoder hears."""
        if extractor.model_input_names[0] == "input_values":
            layers = [*zip(config.conv_kernel, config.conv_stride, strict=True)]
        else:
            # Mel models count from the feature extractor's frames, and stack or subsample those.
            hop = getattr(extractor, "hop_length", 160) * getattr(extractor, "stride", 1)
            if encoder := getattr(config, "encoder_config", None):
                twice = encoder.subsampling_conv_stride**2  # as LASR does
                hop *= getattr(encoder, "subsampling_factor", twice)
            layers = [(hop, hop)]
        if adapter and getattr(config, "add_adapter", False):
            # Its kernels reach into padding: transformers counts them as 1.
            layers += [(1, config.adapter_stride)] * config.num_adapter_layers
        return cls(tuple(layers))

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(stride for _, stride in self.layers)

    def samples(self, frames: int) -> int:
        """The least number of samples that make so many frames."""
        for kernel, stride in reversed(self.layers):
            frames = (frames - 1) * stride + kernel
        return frames

    def __call__(self, samples: int) -> int:
        """How many frames are made of so many samples."""
        for kernel, stride in self.layers:
            samples = max(0, (samples - kernel) // stride + 1)
        return samples
