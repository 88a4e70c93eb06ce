"""What a GPU is told to hear: for each row of a batch which utterances, from where and how fast.

All rows of a batch are of one of a few `LENGTHS`, filled with utterances while there is room.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from asr_core import text
from asr_core.recipe.batches import FACTORS, SAMPLE_RATE, Batches, transcript
from asr_core.recipe.settings import Recipe
from asr_core.recipe.transplant import frames

LENGTHS = [2048 * n for n in (16, 24, 32, 48, 64, 96, 128, 256)]  # samples: 2 to 33 s
PIECES = 20  # utterances of a row, at most
FULL = (0.75, 1.0)  # of a row, about


@dataclass
class Plan:
    """What is said in each row of a batch: for `waves.spoken`, and letters for the loss."""

    length: int  # samples of each row
    pieces: np.ndarray  # (2, rows, PIECES): ends, and shifts into the store
    speeds: np.ndarray  # (rows,)
    counts: np.ndarray  # (rows,): samples
    labels: list[list[int]]


class Plans(torch.utils.data.Dataset):
    """Plan `index` is a function of its number alone."""

    def __init__(self, batches: Batches, recipe: Recipe) -> None:
        self.batches, self.recipe = batches, recipe

    def rows(self, length: int) -> int:
        return max(1, int(self.recipe.batch_seconds * SAMPLE_RATE) // length)

    def __getitem__(self, index: int) -> Plan:
        rng = np.random.default_rng((self.recipe.seed, index))
        wanted = self.batches.draw_length(rng)
        return self.plan(rng, next((n for n in LENGTHS if n >= wanted), LENGTHS[-1]))

    def plan(self, rng: np.random.Generator, length: int) -> Plan:
        rows = self.rows(length)
        pieces, speeds = np.zeros((2, rows, PIECES), np.int64), np.ones(rows)
        counts, labels = np.zeros(rows, np.int64), []
        while len(labels) < rows:
            speed = rng.uniform(*FACTORS) if rng.random() < 0.8 else 1.0
            room = int(length * speed) - 1
            drawn = self.batches.draw(rng, int(room * rng.uniform(*FULL)))[:PIECES]
            ends = np.cumsum([len(utterance) for utterance in drawn])
            drawn, ends = drawn[: (ends <= room).sum()], ends[ends <= room]
            letters = self.batches.letters(transcript(drawn))
            count = int(ends[-1] / speed) if len(ends) else 0
            if not letters or text.frames_needed(letters) >= frames(torch.tensor(count)):
                continue
            row = len(labels)
            pieces[0, row] = ends[-1]
            pieces[0, row, : len(ends)] = ends
            pieces[1, row, : len(ends)] = [one.start for one in drawn]
            pieces[1, row, 1 : len(ends)] -= ends[:-1]
            speeds[row], counts[row] = speed, count
            labels.append(letters)
        return Plan(length, pieces, speeds, counts, labels)


def coming(plans: Plans, first: int) -> Iterator[Plan]:
    """The plans from number `first` on, without end, made by half of the cores."""
    loader = torch.utils.data.DataLoader(
        plans,
        batch_size=None,
        sampler=itertools.count(first),
        num_workers=max(1, len(os.sched_getaffinity(0)) // 2),
        prefetch_factor=16,
        worker_init_fn=_go_on,
    )
    return iter(loader)


def _go_on(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal: the main one ends these."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
