"""The model that fine-tuning starts from: its processor, its CTC head, and what stays frozen."""

from __future__ import annotations

import json
import logging
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCTC,
    AutoProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)

from asr_core import models, text
from asr_core.augmentation import Augmentation
from asr_core.errors import ModelError, OptionError, first_line
from asr_core.flags import Options
from asr_core.frames import Frames

log = logging.getLogger(__name__)


def load_processor(options: Options, transcripts: Sequence[str]) -> tuple[ProcessorMixin, bool]:
    """The model's own processor, or one with a vocabulary made from training `transcripts`.

    The second value tells whether the vocabulary is new.
    """
    where = models.locate(options.model)
    if options.vocabulary != "data":
        why = "there is none"
        try:
            processor = AutoProcessor.from_pretrained(where, trust_remote_code=False)
            tokenizer = getattr(processor, "tokenizer", None)
            if tokenizer is not None:
                tokenizer("a")  # one of phonemes finds only now what it lacks
        except ImportError as error:
            raise ModelError(
                f"'{options.model}' writes phonemes and needs more than is installed "
                f"({first_line(error)}): add --vocabulary data, and it learns letters."
            ) from error
        except (OSError, ValueError, TypeError) as error:
            if "trust_remote_code" in str(error):
                raise ModelError(
                    f"'{options.model}' wants its author's code to be run, which is never done "
                    "here: choose another model."
                ) from error
            why = first_line(error)
        else:
            if tokenizer is not None:
                _check_spelling(options, text.Spelling.of(tokenizer))
                return processor, False
        # A trained head is not to be lost for want of a file.
        if options.vocabulary == "model" or models.is_trained(models.load_config(options.model)):
            raise ModelError(
                f"The tokenizer of '{options.model}' cannot be read ({why}): fetch it again, or "
                "add --vocabulary data."
            )
        log.info("%s has no tokenizer: the vocabulary is made from the data", options.model)
    return new_processor(options, transcripts, where), True


def _check_spelling(options: Options, own: text.Spelling) -> None:
    """Raises OptionError where a model that has characters is asked to write in others."""
    for name in ("case", "punctuation", "hangul"):
        asked = getattr(options, name)
        if asked not in (getattr(text.Spelling(), name), getattr(own, name)):
            raise OptionError(
                f"--{name} {asked} needs characters of your own: add --vocabulary data, or leave "
                f"it out to write as '{options.model}' does."
            )


def new_processor(options: Options, transcripts: Sequence[str], where: str) -> ProcessorMixin:
    """The model's feature extractor beside a tokenizer of the characters of `transcripts`."""
    from transformers import (
        AutoFeatureExtractor,
        Wav2Vec2BertProcessor,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2Processor,
    )

    spelling = text.Spelling(options.case, options.punctuation, options.hangul)
    written = replace(spelling, case="keep")  # capitals do not tell one i from the other
    if text.is_turkic(text.vocabulary(text.normalize(t or "", written) for t in transcripts)):
        spelling = replace(spelling, dotless=True)
    tokens = text.vocabulary(text.normalize(t or "", spelling) for t in transcripts)
    with tempfile.TemporaryDirectory() as folder:  # what lies in the output folder may be in use
        path = Path(folder, "vocab.json")
        path.write_text(json.dumps(tokens, ensure_ascii=False, indent=0), encoding="utf-8")
        tokenizer = Wav2Vec2CTCTokenizer(str(path))
    if options.punctuation == "keep" != text.Spelling.of(tokenizer).punctuation:
        raise OptionError(
            "--punctuation keep: the transcripts have none of . , ? ! and their like, by which "
            "a model that writes punctuation is known. Leave it out."
        )
    try:
        extractor = AutoFeatureExtractor.from_pretrained(where, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"'{options.model}' does not say how it takes sound, a preprocessor_config.json is "
            f"missing or broken ({first_line(error)}): fetch it again."
        ) from error
    if extractor.model_input_names[0] == "input_features":
        return Wav2Vec2BertProcessor(extractor, tokenizer)
    return Wav2Vec2Processor(extractor, tokenizer)


def load_model(
    options: Options, processor: ProcessorMixin, new_vocabulary: bool = False
) -> tuple[PreTrainedModel, bool]:
    """A model with a CTC head of the processor's size; True when the head is fresh.

    A head that was trained for other characters starts anew, even if it has as many.
    """
    config = models.load_config(options.model)
    where = config.name_or_path  # as `models.locate` found it
    fresh = (
        new_vocabulary
        or not models.is_trained(config)
        or _widest(processor.tokenizer) >= config.vocab_size
    )
    configure(config, options, processor)
    if fresh:
        config.vocab_size = len(processor.tokenizer)
    try:
        model = AutoModelForCTC.from_pretrained(
            where,
            config=config,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"'{options.model}' cannot be loaded: {first_line(error)}") from error
    if fresh:
        # `_init_weights` leaves alone what was loaded, also for other characters.
        spread = getattr(config, "initializer_range", 0.02)
        torch.nn.init.normal_(head(model).weight, std=spread)
        torch.nn.init.zeros_(head(model).bias)
    freeze(model, options.freeze)
    return model, fresh


def _widest(tokenizer: PreTrainedTokenizerBase) -> int:
    """The largest id in a transcript. Sentence marks have none: transformers adds them to the
    vocabularies of 2021, which had no room for them."""
    marks = {tokenizer.bos_token, tokenizer.eos_token}
    return max(index for token, index in tokenizer.get_vocab().items() if token not in marks)


def configure(config: PreTrainedConfig, options: Options, processor: ProcessorMixin) -> None:
    """Set what a model learns by: its loss, what is dropped and masked."""
    config.pad_token_id = processor.tokenizer.pad_token_id
    # The sum would grow with the batch; an infinite loss (more characters than frames) would
    # spoil the weights for good.
    config.ctc_loss_reduction = "mean"
    config.ctc_zero_infinity = True
    if options.dropout is not None:
        # Parakeet keeps its encoder's in a configuration of their own.
        for part in (config, getattr(config, "encoder_config", config)):
            for name in [name for name in vars(part) if name.endswith("dropout")]:
                setattr(part, name, options.dropout)
    if hasattr(config, "layerdrop"):
        config.layerdrop = 0.0
    if hasattr(config, "mask_time_prob"):
        config.mask_time_prob = options.mask_time_prob
        config.apply_spec_augment = True


def freeze(model: PreTrainedModel, what: str) -> None:
    """Leave a part of it as it is: "feature_encoder", "base" (all but the head) or "none"."""
    if what == "base":
        model.requires_grad_(False)
        head(model).requires_grad_(True)
    elif what == "feature_encoder":
        names = ("freeze_feature_encoder", "freeze_feature_extractor")
        known = next((getattr(model, name) for name in names if hasattr(model, name)), None)
        if known is None:
            log.info("%s has no %s to freeze: all of it learns", type(model).__name__, what)
        else:
            known()


def head(model: PreTrainedModel) -> torch.nn.Module:
    """What makes characters of frames: a layer that Parakeet and its kind call otherwise."""
    return getattr(model, "lm_head", None) or model.ctc_head


def shortest(config: PreTrainedConfig, processor: ProcessorMixin) -> float:
    """Seconds that a row needs to be masked: transformers refuses what is shorter than a mask."""
    if not getattr(config, "mask_time_prob", 0):
        return 0.0
    extractor = processor.feature_extractor
    heard = Frames.of(config, extractor, adapter=False)  # which are masked
    samples = heard.samples(config.mask_time_length + 1)
    # In full hundredths, as `augmentation` may make it faster and drop a sample by rounding.
    return math.ceil(100 * Augmentation.factors[1] * samples / extractor.sampling_rate) / 100
