"""Speech in, transcript out: one stream for a word, an afternoon, a folder or a microphone.

    source -> blocks (`audio`) -> `windows` -> pipeline -> emissions -> decoder -> Transcript

The model runs through the pipeline API of transformers (`emissions`), on a GPU with windows of
several recordings at once.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from itertools import chain
from threading import Event, Semaphore
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import pipeline

from asr_core import models, padding, pauses
from asr_core.audio import SILENCE, Recording, Source, name_of
from asr_core.decoding import Alphabet, Decoder, GreedyDecoder, end_words
from asr_core.emissions import EmissionPipeline
from asr_core.errors import AsrError, AudioError, ModelError, first_line
from asr_core.frames import Frames
from asr_core.language_model_sources import find
from asr_core.text import favoured
from asr_core.together import MOST_SECONDS, Together
from asr_core.transcript import Transcript, Word
from asr_core.turns import Turns
from asr_core.windows import Window, windows

if TYPE_CHECKING:
    from asr_core.live import LiveSession

WHOLE = 20.0  # seconds: a recording up to here is heard in one piece
WINDOW = 10.0  # seconds of a longer one seen at once: attention grows with their square
OVERLAP = 1.25  # seconds of it, on either side, that are context and belong to the neighbours
MOST_ABREAST = 8  # windows at once on a CPU: each takes memory
LONG_ABREAST = 8  # recordings beyond `WHOLE` at once: with more, none would be done until the end
SMALL = 30e6  # parameters: a larger model does in bfloat16 best with one window on all cores
LARGE_ABREAST = 2  # windows of one at once in other precisions: each takes some 100 MB
# What a small model hears on a CPU is padded to a multiple of so many frames: to compile kernels
# for a new length takes as long as to hear a second of speech. So few windows of one such length,
# and of so many seconds in sum, are quicker in one batch: longer ones no longer fit the caches.
MULTIPLE = 32
FEW, FEW_SECONDS = 4, 14.0


class Recognizer:
    """A model made ready to transcribe.

    `model` is `embedded`, a directory or an id of the Hub; `device` and `dtype` are chosen when
    "auto" (see `models.hardware`). `language_model` is a directory, "none", or "auto" for the one
    that is saved with the model, if any; `hotwords` are words and names to favour, with commas.
    Raises ModelError or OptionError when they are not to be had.
    One recognizer serves many threads: their windows take `Turns`, first come, first served.
    On a CPU the process keeps memory that it has freed, its own too (`models._keep_memory`).
    """

    def __init__(
        self,
        model: str = models.EMBEDDED,
        device: str = "auto",
        dtype: str = "auto",
        language_model: str = "auto",
        hotwords: str = "",
    ) -> None:
        self.name = model
        self.hardware = models.hardware(device, dtype)
        loaded, self.processor = models.load_model(model, self.hardware)
        self.pipeline = pipeline(
            "automatic-speech-recognition",
            model=loaded,
            tokenizer=self.processor.tokenizer,
            feature_extractor=self.processor.feature_extractor,
            device=self.hardware.device,
            dtype=self.hardware.dtype,
            pipeline_class=EmissionPipeline,
        )
        self.rate = int(self.processor.feature_extractor.sampling_rate)
        self.frames = Frames.of(loaded.config, self.processor.feature_extractor)
        waveform = loaded.main_input_name == "input_values"
        # A single frame of mel features has no deviation to be divided by.
        self.hop, self.field = self.frames.hop, self.frames.samples(1 if waveform else 2)
        self.alphabet = Alphabet.of(self.processor.tokenizer, loaded.config.vocab_size)
        small = loaded.num_parameters() <= SMALL
        padded = padding.is_harmless(loaded.config)
        if small and padded and not self.hardware.together:
            self.pipeline.multiple = MULTIPLE
        self._turns = self._shared_turns(small, padded)
        self.language_model = find(model, language_model)
        self.hotwords = favoured(hotwords)
        self._vocabulary = self._known()

    def _shared_turns(self, small: bool, padded: bool) -> Turns:
        if self.hardware.together:
            return Together(round(MOST_SECONDS * self.rate), padded)
        cores = models.allowed_cores()
        large = 1 if self.hardware.dtype == torch.bfloat16 else LARGE_ABREAST
        abreast = min(cores, MOST_ABREAST if small else large)
        if self.pipeline.multiple == 1:
            return Turns(abreast, cores)
        together = {"most": FEW, "abreast": abreast, "cores": cores, "length": self.pipeline.padded}
        return Together(round(FEW_SECONDS * self.rate), padded=False, **together)

    def __str__(self) -> str:
        with_what = " with a language model" if self.language_model else ""
        return f"{self.name}{with_what} on {self.hardware}"

    def using(self, language_model: bool = True, hotwords: str = "") -> Recognizer:
        """The same model, without its language model or with other hotwords.

        Costs no memory for the model, and nothing at all where nothing changes. Raises OptionError
        when a hotword cannot be spelt.
        """
        wanted = favoured(hotwords) or self.hotwords
        if (language_model or not self.language_model) and wanted == self.hotwords:
            return self
        twin = copy.copy(self)
        twin.language_model = self.language_model if language_model else None
        twin.hotwords = wanted
        twin._vocabulary = twin._known()
        return twin

    def _known(self):
        """What a beam search must know; None where a greedy search does."""
        if not self.hotwords and not self.language_model:
            return None
        from asr_core.lexicon import Vocabulary

        return Vocabulary.of(self.alphabet, self.language_model, self.hotwords)

    def transcribe(self, source: Source | None) -> Transcript:
        """What is said in `source`: a path, bytes, a file object, or (sample rate, samples).

        Samples are of shape (samples,) or (samples, channels). Raises AudioError when there is
        nothing to transcribe in it.
        """
        return last(self.stream(source))

    def stream(self, source: Source | None, longest: float = math.inf) -> Iterator[Transcript]:
        """Longer and longer transcripts while `source` is read; the last one is `complete`.

        Memory does not grow with the length of the recording, but for its words. What comes after
        `longest` seconds is not heard. Raises AudioError like `transcribe`, before or after
        transcripts have come.
        """
        recording = Recording(source, longest=longest)
        decoder = self.decoder()
        for emissions in self.emissions(recording.blocks(self.rate)):
            decoder.feed(emissions)
            yield summary(decoder.words(), recording, complete=False)
        yield summary(decoder.finish(), recording, complete=True)

    def transcribe_many(
        self, sources: Iterable[Source], return_errors: bool = False
    ) -> Iterator[Transcript | AsrError]:
        """The transcript of each source in turn; hardly more are read than are worked on.

        Where several are worked on at once, one that is ready comes when the next source has come.

        With `return_errors`, a source that cannot be transcribed yields its AsrError and the
        rest go on; else it raises. What `sources` raises comes after the transcripts of those
        before. On a GPU, and with a small model on a CPU, as many are worked on at once as its
        `Turns` have room for.
        """
        with closing(self._results(sources, in_order=True)) as results:
            for _, result in results:
                if isinstance(result, AsrError) and not return_errors:
                    raise result
                yield result

    def transcribe_as_ready(
        self, sources: Iterable[Source]
    ) -> Iterator[tuple[int, Transcript | AsrError]]:
        """The number of each source, from 0, and what `transcribe_many` makes of it, once it is.

        So that a short one does not wait for a long one before it. One that cannot be transcribed
        yields its AsrError.
        """
        return self._results(sources, in_order=False)

    def _results(
        self, sources: Iterable[Source], in_order: bool
    ) -> Iterator[tuple[int, Transcript | AsrError]]:
        # One would be taken apart into letters, bytes or lines.
        if isinstance(sources, str | bytes | os.PathLike) or hasattr(sources, "read"):
            raise AudioError(f"{name_of(sources)} is one recording: give a list of them.")
        failures: list[Exception] = []
        sources = _until_failure(sources, failures)
        if self._turns.callers < 2:
            yield from ((number, self._attempt(source)) for number, source in enumerate(sources))
        else:
            yield from self._abreast(sources, in_order)
        if failures:
            raise failures[0]

    def _attempt(
        self, source: Source, stopped: Event | None = None, room: Semaphore | None = None
    ) -> Transcript | AsrError:
        try:
            transcripts = self.stream(source)
            return last(_in_room(transcripts, room) if room else transcripts, stopped)
        except AsrError as error:
            return error
        except Exception as error:  # some library's: the other recordings go on
            failure = AudioError(
                f"{name_of(source)} cannot be transcribed: {first_line(error).removesuffix('.')}."
            )
            failure.__cause__ = error
            return failure

    def _abreast(
        self, sources: Iterable[Source], in_order: bool
    ) -> Iterator[tuple[int, Transcript | AsrError]]:
        """The results of several sources at a time."""
        stopped = Event()  # or who gives up would wait for an afternoon of sound
        count, room = self._turns.callers, Semaphore(min(LONG_ABREAST, self._turns.early))
        workers = ThreadPoolExecutor(count)
        begun: dict[Future, int] = {}

        def ready(most: int) -> Iterator[tuple[int, Transcript | AsrError]]:
            """What is ready, and more until no more than `most` are begun."""
            while begun:
                wanted = [next(iter(begun))] if in_order else begun
                patience = None if len(begun) > most else 0
                done, _ = wait(wanted, patience, return_when=FIRST_COMPLETED)
                if not done:
                    break
                for future in done:
                    yield begun.pop(future), future.result()

        try:
            for number, source in enumerate(sources):
                begun[workers.submit(self._attempt, source, stopped, room)] = number
                yield from ready(most=count)
            yield from ready(most=0)
        finally:  # who gives up does not wait, either: of a pipe there may never come more
            stopped.set()
            workers.shutdown(wait=False, cancel_futures=True)

    def live(self) -> LiveSession:
        """A session that is fed from a microphone and answers with captions."""
        from asr_core.live import LiveSession

        return LiveSession(self)

    def decoder(self) -> Decoder:
        """A fresh decoder for one recording."""
        if self._vocabulary is None:
            return GreedyDecoder(self.alphabet, self.hop / self.rate)
        from asr_core.beam import BeamDecoder

        return BeamDecoder(self._vocabulary, self.hop / self.rate)

    def emissions(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Emissions of shape (frames, columns) for a stream of blocks, without seams."""
        sizes = (self.in_frames(seconds) for seconds in (WINDOW, OVERLAP, WHOLE))
        found = windows(blocks, *sizes)
        first = next(found)
        if first.right:
            yield from self._turns.ahead(self._heard, chain([first], found))
        else:  # the only one: no other is to be begun beside it
            yield self._heard(first)

    def _heard(self, window: Window) -> np.ndarray:
        (emissions,) = self.forward([window.samples])
        return self.inner(window, emissions)

    def inner(self, window: Window, emissions: np.ndarray) -> np.ndarray:
        """The emissions of a window without those of its context."""
        end = len(emissions)
        if window.right:
            end = (len(window.samples) - window.right) // self.hop
        return emissions[window.left // self.hop : end]

    def forward(self, batch: list[np.ndarray]) -> list[np.ndarray]:
        """The emissions of windows, each (samples,) at `rate`: one turn's work.

        Long `pauses` in them are not heard. Where nothing is heard `together`, they are of equal
        length.
        """
        left_out = [pauses.found(samples, self.hop, self.rate) for samples in batch]
        heard = [
            pauses.without(samples, found, self.hop) if found else samples
            for samples, found in zip(batch, left_out, strict=True)
        ]
        prepared = [self.pipeline.prepare(self._long_enough(samples)) for samples in heard]
        try:
            outputs = self._turns.take(self.pipeline.hear, prepared)
        except (MemoryError, torch.OutOfMemoryError) as error:
            seconds = max(map(len, batch)) / self.rate
            raise ModelError(
                f"{seconds:.0f} seconds of sound are too much for the memory that is free on "
                f"{self.hardware.device}: end other programs there, or choose another --device."
            ) from error
        return [self._in_full(*each) for each in zip(outputs, batch, left_out, strict=True)]

    def _in_full(
        self, emissions: np.ndarray, samples: np.ndarray, left_out: list[tuple[int, int]]
    ) -> np.ndarray:
        """The emissions of all of a window. Raises ModelError when they are no numbers."""
        if np.isnan(emissions).any():
            raise ModelError(
                f"{self.name} answers with what are not numbers on {self.hardware}: "
                "try --dtype float32, or another model."
            )
        if max(samples.max(), -samples.min()) < SILENCE:
            # A model that has never heard silence spells it out.
            emissions[:] = -np.inf
            emissions[:, self.alphabet.blank] = 0.0
        if left_out:
            emissions = pauses.restored(emissions, left_out, self.alphabet.blank)
        end_words(emissions, self.alphabet, self.hop / self.rate)
        return emissions

    def _long_enough(self, samples: np.ndarray) -> np.ndarray:
        """The model needs `field` samples for one frame."""
        missing = self.field - len(samples)
        return np.pad(samples, (0, missing)) if missing > 0 else samples

    def in_frames(self, seconds: float) -> int:
        """`seconds` in samples, as a whole number of frames."""
        return round(seconds * self.rate / self.hop) * self.hop


def _until_failure(items: Iterable[Source], failures: list[Exception]) -> Iterator[Source]:
    """`items`, up to where they raise something, which goes to `failures`."""
    try:
        yield from items
    except Exception as error:
        failures.append(error)


def _in_room(transcripts: Iterator[Transcript], room: Semaphore) -> Iterator[Transcript]:
    """The same, but what is longer than `WHOLE` goes on only when there is room for it."""
    entered = False
    try:
        for transcript in transcripts:
            if transcript.duration > WHOLE and not entered:
                entered = room.acquire()
            yield transcript
    finally:
        if entered:
            room.release()


def last(transcripts: Iterator[Transcript], stopped: Event | None = None) -> Transcript:
    """The last of a stream, which is the whole; or the latest when it is `stopped`."""
    for transcript in transcripts:  # noqa: B007
        if stopped and stopped.is_set():
            break
    return transcript


def summary(words: tuple[Word, ...], recording: Recording, complete: bool) -> Transcript:
    """A transcript of `words`, with what a person should know about the recording."""
    warnings = list(recording.warnings)
    if complete and recording.silent:
        warnings.append(
            f"{recording.name} is silent: check that the right microphone is chosen and not muted."
        )
    elif complete and not words:
        warnings.append(f"No words were recognised in {recording.name}.")
    if words and words[-1].end > recording.read:  # the last frame may reach beyond the end
        words = (*words[:-1], replace(words[-1], end=round(recording.read, 3)))
    return Transcript(words, round(recording.read, 3), recording.name, complete, tuple(warnings))
