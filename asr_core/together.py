"""Who waits at the same time is heard together, in one batch.

It takes that to keep a GPU busy: a window of some seconds is hundreds of small kernels, which take
longer to start than to run. So it is, with a small model and short windows, on a CPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sized
from concurrent.futures import Future
from threading import Thread, current_thread
from typing import Any, NamedTuple

import torch

from asr_core.errors import ModelError
from asr_core.turns import Turns, submit

log = logging.getLogger(__name__)

MOST_WINDOWS = 32  # in a batch
MOST_SECONDS = 240.0  # of a batch, padding included: some GB for wav2vec2-base in float16
EARLY = 16  # windows of one recording begun at once: more would let its first words wait


class Waiting(NamedTuple):
    """An item that somebody wants to have run, and what comes of it."""

    item: Sized
    result: Future
    thread: Thread  # that waits for it


class Together(Turns):
    """Turns for batches: the next is the one who has waited longest, and whoever may come along.

    A batch is of up to `most` items and, with all padded to the longest, of a length of up to
    `budget` in sum. Unless `padded`, items of other lengths wait for a batch of their own.
    While a batch runs, as many callers again can make ready and join the queue for the next. On a
    CPU, `cores` are shared by as many batches as run `abreast`. `length` tells that of an item.
    """

    def __init__(
        self,
        budget: int,
        padded: bool,
        most: int = MOST_WINDOWS,
        abreast: int = 1,
        cores: int | None = None,
        length: Callable[[Any], int] = len,
    ) -> None:
        super().__init__(abreast, cores)
        self.callers = 2 * most * abreast
        self.early = abreast if cores else EARLY
        self._budget, self._padded, self._largest, self._length = budget, padded, most, length
        self._waiting: list[Waiting] = []  # in the order they came
        self._forked = False

    def forked(self) -> None:
        self._waiting = []
        self._forked = not self.cores
        super().forked()

    def take(self, work: Callable[[list], list], items: list) -> list:
        """What `work`, the same for all who call, makes of each item, alone or beside others.

        Where it fails for a batch, the halves run by themselves, so that an error is told to those
        alone who brought it, and a batch too large for the memory does no harm.
        """
        if self._forked:
            raise ModelError(
                "A process that was forked cannot use the GPU of the one before it: start it with "
                '`multiprocessing.get_context("spawn")`.'
            )
        asked = [Waiting(item, Future(), current_thread()) for item in items]
        with self._lock:
            self._arrived(len(asked))
            self._waiting += asked
            for _ in asked:  # one look each, as nobody might come along
                submit(self._pool, self._next, work)
        try:
            return [each.result.result() for each in asked]
        finally:
            with self._lock:
                self._present -= len(asked)
                for each in asked:  # has an effect only where one failed or the caller gave up
                    each.result.cancel()

    def _forgo(self, threads: set[Thread]) -> None:
        with self._lock:
            for each in self._waiting:
                if each.thread in threads:
                    each.result.cancel()

    def _next(self, work: Callable[[list], list]) -> None:
        with self._lock:
            batch = self._gathered()
        if batch:
            self._run(work, batch)

    def _run(self, work: Callable[[list], list], batch: list[Waiting]) -> None:
        try:
            results = self._with_its_share(work, [each.item for each in batch])
        except BaseException as error:
            results = error
        if isinstance(results, BaseException) and len(batch) > 1:
            if isinstance(results, torch.OutOfMemoryError):
                self._shrink(len(batch) * max(self._length(each.item) for each in batch))
            del results  # and with it what its frames hold of the GPU's memory
            middle = len(batch) // 2
            self._run(work, batch[:middle])
            self._run(work, batch[middle:])
        elif isinstance(results, BaseException):
            batch[0].result.set_exception(results)
        else:
            for each, result in zip(batch, results, strict=True):
                each.result.set_result(result)

    def _shrink(self, failed: int) -> None:
        """No batch that is as long any more: to fail first costs more than it gains."""
        with self._lock:
            self._budget = min(self._budget, failed // 2)
        log.warning("The GPU's memory was too small for a batch; the next ones are smaller.")

    def _gathered(self) -> list[Waiting]:
        """Who goes next; they wait no longer."""
        waiting = [each for each in self._waiting if not each.result.cancelled()]
        batch, rest = waiting[:1], waiting[1:]
        most = min(self._largest, -(-len(waiting) // self.abreast))  # or other cores would idle
        own = longest = self._length(batch[0].item) if batch else 0
        for each in sorted(rest, key=lambda each: abs(self._length(each.item) - own)):
            length = self._length(each.item)
            longest = max(longest, length)
            if len(batch) == most or (len(batch) + 1) * longest > self._budget:
                break
            if not self._padded and length != own:
                break
            batch.append(each)
        gone = {id(each) for each in batch}
        self._waiting = [each for each in waiting if id(each) not in gone]
        return [each for each in batch if each.result.set_running_or_notify_cancel()]
