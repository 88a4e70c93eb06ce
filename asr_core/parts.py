"""Which rows a model learns from, and on which others it is measured.

Where it is known who speaks, whole speakers are cut off: a model knows the voices it has learnt
from, and what it makes of those says little about anybody else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asr_core import data
from asr_core.errors import OptionError
from asr_core.flags import Options

if TYPE_CHECKING:
    from datasets import Dataset

FEWEST = 0.5  # of the rows asked for, that whole speakers must come to
MOST = 1 / 3  # of all rows, that are measured on where one speaker said more than was asked for


@dataclass(frozen=True)
class Parts:
    """Rows to learn from and rows to measure on; `note` says how they were parted."""

    train: Dataset
    test: Dataset
    note: str


def load_parts(options: Options, seed: int) -> Parts:
    """The part asked for, or that comes with "train"; else `test_size` of the rows, by `seed`.

    Raises DataError when there is no such dataset or part, OptionError when too few rows are left.
    """
    columns = data.Columns(options.audio_column, options.text_column, options.speaker_column)
    where = (options.dataset, options.dataset_config)
    train = data.load(*where, options.train_split, columns)
    split = options.eval_split
    if split is None and options.train_split == "train":
        split = data.test_split(data.splits(*where))
    if split:
        note = f"measured on its '{split}' part (--test_size is not used)"
        return Parts(train, data.load(*where, split, columns), note)
    # Rows are known by their place in the dataset, also after they are parted.
    return _cut_off(train.add_column(data.PLACE, [*range(len(train))]), options.test_size, seed)


def _cut_off(rows: Dataset, size: float, seed: int) -> Parts:
    wanted = min(len(rows), size if size >= 1 else math.ceil(size * len(rows)))
    speakers = rows["speaker"][:] if "speaker" in rows.column_names else []
    chosen = whole_speakers(speakers, int(wanted), seed) if wanted < len(rows) else set()
    if chosen:
        test = [index for index, speaker in enumerate(speakers) if speaker in chosen]
        rest = sorted({*range(len(rows))} - {*test})
        note = f"{len(test)} rows of {len(chosen)} other speakers cut off to measure on"
        return Parts(rows.select(rest), rows.select(test), note)
    try:
        parts = rows.train_test_split(test_size=int(wanted), seed=seed)
    except ValueError as error:
        raise OptionError(
            f"--test_size {size:g} of {len(rows)} rows leaves too few ({error})."
        ) from error
    return Parts(parts["train"], parts["test"], f"{len(parts['test'])} rows cut off to measure on")


def whole_speakers(speakers: Sequence[object], wanted: int, seed: int) -> set[object]:
    """Speakers, drawn by `seed`, of whom there are about `wanted` rows.

    Not more, unless all people said much: then one of those who said the least, if that is no more
    than `MOST` of all rows. Nobody where that cannot be, as with two who said as much. Rows of whom
    it is not known (None or "") stay with those that are learnt from.
    """
    rows = Counter(speaker for speaker in speakers if speaker not in (None, ""))
    chosen, count = set(), 0
    names = sorted(rows, key=str)
    drawn = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    for name in drawn:
        if count + rows[name] <= wanted:
            chosen.add(name)
            count += rows[name]
    if count >= FEWEST * wanted:
        return chosen
    enough = [name for name in drawn if FEWEST * wanted <= rows[name] <= MOST * len(speakers)]
    return set(sorted(enough, key=rows.__getitem__)[:1])
