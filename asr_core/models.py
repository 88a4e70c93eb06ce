"""Which model, where it comes from, and how it runs: chosen here, once, and said aloud.

A model is named by `embedded` (the small one that comes with this package), by a directory, or by
an id of the Hugging Face Hub. Weights are read from safetensors only, and no code of a model's
author is ever run.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import platform
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from asr_core.errors import ModelError, OptionError, first_line

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin

log = logging.getLogger(__name__)

EMBEDDED = "embedded"
EMBEDDED_FOLDER = Path(__file__).parent / "embedded" / "model"
DEFAULT = "facebook/wav2vec2-base-960h"
FLOATS = ("float32", "bfloat16", "float16")
PRECISIONS = ("auto", *FLOATS, "int8")
MALLOPT = {  # of malloc.h
    -1: (1 << 31) - 1,  # M_TRIM_THRESHOLD: bytes free at the heap's end before they are given back
    -3: 1 << 30,  # M_MMAP_THRESHOLD: bytes from which a block is mapped by itself
    -8: 1,  # M_ARENA_MAX: all threads share the one heap that can hold such blocks
}
# For how many shapes of its input oneDNN keeps what it has compiled for a layer: in all, and, by
# torch's own doing, once more in every thread (intel/ideep#14). They take 1024 each, so recordings
# of all lengths come to 2 GB (pytorch#27971). A window takes some 20, a step of training some 100.
# Both are asked for but once, when a layer runs for the first time.
SHAPES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "384", "LRU_CACHE_CAPACITY": "32"}
for _variable, _shapes in SHAPES.items():
    os.environ.setdefault(_variable, _shapes)
# transformers makes a model's precision that of all new tensors while it loads (`local_torch_dtype`
# in its `modeling_utils.py`): of two that load at once, one would have layers in the other's.
_one_at_a_time = Lock()
PROBE_SECONDS = 3.0  # to wait for the Hub before the embedded model is taken instead


@dataclass(frozen=True)
class Choice:
    """A model and, where it is not what one would have expected, the reason."""

    name: str
    reason: str = ""
    asked: bool = True  # for by who hosts


@dataclass(frozen=True)
class Hardware:
    """Where a model runs and in which precision; `str()` of it is for people."""

    device: str  # as torch names it: "cpu", "cuda", "cuda:1", "mps"
    dtype: torch.dtype
    int8: bool = False  # whether some products are of whole numbers: see `quantization`

    @property
    def attention(self) -> str | None:
        """Which implementation of transformers to take; None is its own choice."""
        # On a CPU torch's fused kernel knows no bfloat16 products: the plain way is twice as fast.
        return "eager" if (self.device, str(self.dtype)) == ("cpu", "torch.bfloat16") else None

    @property
    def together(self) -> bool:
        """Whether windows of many recordings make one batch.

        On a CPU batches cost memory and time, but for a small model (`recognizer.FEW`).
        """
        return self.device != "cpu"

    def __str__(self) -> str:
        precision = "int8" if self.int8 else str(self.dtype).removeprefix("torch.")
        return f"{self.device}, {precision}"


def default_model() -> Choice:
    """`ASR_MODEL` if set, else `DEFAULT` where it can be had in seconds, else the embedded one."""
    wish = os.environ.get("ASR_MODEL", "").strip()
    if wish:
        return Choice(wish)
    from huggingface_hub import HfApi, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(DEFAULT, "config.json"), str):
        return Choice(DEFAULT, asked=False)
    try:
        # One quick question: from_pretrained would try five times a file, minutes in all.
        HfApi().model_info(DEFAULT, timeout=PROBE_SECONDS)
    except Exception as error:  # whatever keeps us from the Hub, the answer is the same
        log.info("The Hub did not answer: %s", error)
        return Choice(EMBEDDED, f"the Hub could not be reached, so {DEFAULT} is not available")
    return Choice(DEFAULT, asked=False)


def locate(name: str) -> str:
    """What `from_pretrained` takes for `name`: a directory's path, or an id of the Hub.

    Raises ModelError when a directory holds no model, or when `name` is neither a directory nor
    an id that the Hub (or the cache) answers for.
    """
    if name == EMBEDDED:
        return str(EMBEDDED_FOLDER)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ModelError(
                f"{name} holds no config.json, so it is not a model: give the folder that "
                "train.py wrote, an id of the Hub, or 'embedded'."
            )
        return str(path)
    if path.exists():
        raise ModelError(f"{name} is a file: give the folder that holds the model.")
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return name
        HfApi().model_info(name, timeout=10)
    except HFValidationError:
        raise ModelError(
            f"'{name}' is neither a folder here nor an id of the Hub (owner/name)."
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"'{name}' is neither a folder here nor a model on the Hub that you may read: check "
            "the spelling, or sign in with `hf auth login` if it is private."
        ) from None
    except Exception as error:
        raise ModelError(
            f"'{name}' is no folder here and the Hub cannot be asked for it ({first_line(error)}): "
            "check the connection, or use 'embedded'."
        ) from error
    return name


def load_config(name: str) -> Any:
    """The configuration of a model with a CTC head. Raises ModelError when it has another."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CTC_MAPPING_NAMES

    where = locate(name)
    try:
        config = AutoConfig.from_pretrained(where, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"The model '{name}' cannot be read: {first_line(error)}") from error
    if config.model_type not in MODEL_FOR_CTC_MAPPING_NAMES:
        raise ModelError(
            f"'{name}' is a {config.model_type} model, which is not trained with CTC: choose one "
            "such as wav2vec2, hubert, wavlm or wav2vec2-bert."
        )
    return config


def is_trained(config: Any) -> bool:
    """Whether a model comes with a CTC head."""
    return any(str(made).endswith("CTC") for made in config.architectures or [])


def load_model(name: str, hardware: Hardware) -> tuple[PreTrainedModel, ProcessorMixin]:
    """A fine-tuned model and its processor, ready for inference.

    Raises ModelError when it has no trained CTC head, no tokenizer, or no safetensors weights.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCTC, AutoProcessor

    from asr_core import padding

    config = load_config(name)
    if not is_trained(config):
        raise ModelError(
            f"'{name}' has no trained CTC head yet: fine-tune it first with "
            f"`python train.py --model {name}`."
        )
    where = config.name_or_path  # as `locate` found it
    _no_weights_bar()
    implementation = hardware.attention
    if implementation == "eager":  # the plain way, but in slices: for inference only
        from asr_core import attention

        implementation = attention.NAME
    try:
        processor = AutoProcessor.from_pretrained(where, trust_remote_code=False)
        with _one_at_a_time:
            model, loading = AutoModelForCTC.from_pretrained(
                where,
                config=config,
                dtype=hardware.dtype,
                attn_implementation=implementation,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"The model '{name}' cannot be loaded: {first_line(error)}") from error
    missing = [key for key in loading["missing_keys"] if "masked_spec_embed" not in key]
    if missing:  # transformers fills them with random numbers; the embedding is for training only
        raise ModelError(
            f"The weights of '{name}' are incomplete, {missing[0]} is not among them: fetch or "
            "fine-tune the model again."
        )
    if getattr(processor, "tokenizer", None) is None:
        raise ModelError(f"'{name}' has no tokenizer, so its output cannot be spelt.")
    if (hardware.device, hardware.dtype) == ("cpu", torch.float32):
        from asr_core import pieces

        model = pieces.rearrange(model, config)
    if padding.is_harmless(config):
        model = padding.rearrange(model)
    if hardware.device == "cpu":
        from asr_core.layers import rearrange

        if hardware.int8:
            from asr_core.quantization import quantize

            model = quantize(model)
        model = rearrange(model)
        _keep_memory()
    elif hardware.device.startswith("cuda") and hardware.dtype.itemsize < 4:
        from asr_core.layers import rearrange_for_cuda

        model = rearrange_for_cuda(model)
    return model.to(hardware.device).eval(), processor


def _no_weights_bar() -> None:
    """No "Loading weights" bar: that takes a second, while downloads keep their bars."""
    from transformers.utils import logging as transformers_logging

    def create(factory: Callable, args: tuple, kwargs: dict) -> Any:
        return factory(*args, **{**kwargs, "disable": True})

    transformers_logging.set_tqdm_hook(create)


def _keep_memory() -> None:
    """Have the C library keep what is freed, for the next layer that needs as much.

    By default glibc gives blocks of some MB back at once and gets them again as fresh pages, a
    tenth of the time that wav2vec2-base takes for 20 seconds of sound.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    for option, value in MALLOPT.items():
        library.mallopt(option, value)


def hardware(device: str = "auto", dtype: str = "auto") -> Hardware:
    """The fastest device and precision at hand, or those asked for.

    `device` is "auto", "cpu", "cuda", "cuda:N" or "mps"; `dtype` is "auto", "float32", "bfloat16",
    "float16" or, on a CPU, "int8". Raises OptionError when they are not to be had.
    """
    import torch

    from asr_core.quantization import is_possible

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu" and torch.backends.mps.is_available():
            device = "mps"
    kind, _, index = device.partition(":")
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if not ((index or "0").isdecimal() and int(index or 0) < there.get(kind, 0)):
        have = ", ".join(f"{name}:{n}" if n else name for name in there for n in range(there[name]))
        raise OptionError(f"There is no device '{device}' here: use auto or one of {have}.")
    device = "cpu" if kind == "cpu" else device
    precisions = {name: getattr(torch, name) for name in FLOATS}
    if dtype == "int8":
        if kind != "cpu":
            raise OptionError(f"int8 is for a CPU, not for {device}: choose that or another dtype.")
        if not is_possible():
            raise OptionError("int8 needs an x86 processor and torch with oneDNN: choose float32.")
        return Hardware(device, torch.float32, int8=True)
    if dtype != "auto":
        if dtype not in precisions:
            raise OptionError(f"dtype '{dtype}' is not one of {', '.join(PRECISIONS)}.")
        return Hardware(device, precisions[dtype])
    if kind == "cpu" and fast_bfloat16():
        return Hardware(device, torch.bfloat16)
    if kind == "cpu":
        return Hardware(device, torch.float32, int8=is_possible())
    return Hardware(device, torch.float16)


def fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware: else float32 is faster."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@functools.cache
def allowed_cores() -> int:
    """How many cores this process may use: torch counts the machine's, and is told so.

    A container, as on Spaces, may have the time of two cores of sixteen. Sixteen threads would wait
    for each other then whenever that is used up (ollama/ollama#17916: 45 times slower). Asked once,
    as `turns` has torch use fewer for a while.
    """
    import torch

    # Reads quotas. joblib's own function says 1 where there are no
    # semaphores, as in a container whose /dev/shm is missing or read-only.
    from joblib.externals.loky import cpu_count

    seen, allowed = torch.get_num_threads(), cpu_count()
    if allowed < seen:
        log.info("This process may use %d of %d cores.", allowed, seen)
        torch.set_num_threads(allowed)
    return min(seen, allowed)


def quiet() -> None:
    """Leave the talking to us: no bars for every file read, no advice for other programs."""
    import datasets
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    datasets.disable_progress_bars()
    # WavLM gives torch truths of what is padded and numbers to be added (`modeling_wavlm.py`).
    warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
    quiet_clients()


def quiet_clients() -> None:
    """No line for every request to the Hub."""
    for client in ("httpx", "httpx2"):
        logging.getLogger(client).setLevel(logging.WARNING)
