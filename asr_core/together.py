"""Who waits at the same time is heard together, in one batch: it takes that to keep a GPU busy.

A window of some seconds is hundreds of small kernels, which take longer to start than to run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sized
from concurrent.futures import Future
from threading import Thread, current_thread
from typing import Any, NamedTuple

import torch

from asr_core.errors import ModelError
from asr_core.turns import Turns

log = logging.getLogger(__name__)

MOST = 32  # windows in a batch
SECONDS = 240.0  # of a batch, padding included: some GB for wav2vec2-base in float16
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
    While a batch runs, as many callers again can make ready and join the queue for the next.
    """

    def __init__(self, budget: int, padded: bool, most: int = MOST) -> None:
        super().__init__()
        self.abreast, self.early = 2 * most, EARLY
        self._budget, self._padded, self._most = budget, padded, most
        self._waiting: list[Waiting] = []  # in the order they came
        self._forked = False

    def forked(self) -> None:
        self._forked = True

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
            self._present += len(asked)
            self._waiting += asked
            for _ in asked:  # one look each, as nobody might come along
                self._pool.submit(self._next, work)
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
        results = _attempt(work, batch)
        if isinstance(results, BaseException) and len(batch) > 1:
            if isinstance(results, torch.OutOfMemoryError):
                self._shrink(len(batch) * max(len(each.item) for each in batch))
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
        batch, longest = waiting[:1], 0
        for each in sorted(waiting[1:], key=lambda each: _gap(each, waiting[0])):
            longest = max(longest, len(each.item), len(batch[0].item))
            if len(batch) == self._most or (len(batch) + 1) * longest > self._budget:
                break
            if not self._padded and _gap(each, batch[0]):
                break
            batch.append(each)
        gone = {id(each) for each in batch}
        self._waiting = [each for each in waiting if id(each) not in gone]
        return [each for each in batch if each.result.set_running_or_notify_cancel()]


def _gap(one: Waiting, other: Waiting) -> int:
    return abs(len(one.item) - len(other.item))


def _attempt(work: Callable[[list], list], batch: list[Waiting]) -> Any:
    try:
        return work([each.item for each in batch])
    except BaseException as error:
        return error
