"""Pictures of a dataset and of a training's course, as PNG files.

Drawn with matplotlib's objects and not with pyplot, which keeps a global list of figures and may
want a screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BLUE, ORANGE, GREEN, GREY = "#2563a8", "#d9730d", "#2e8b57", "#888888"


def draw_data(
    histogram: Mapping[str, Sequence[float]],
    dropped: Mapping[str, Mapping[str, Sequence[str]]],
    path: Path,
) -> None:
    """Durations of the clips (`Report.histogram`) and how many rows were left out, and why."""
    reasons = sorted({reason for part in dropped.values() for reason in part})
    figure = Figure(figsize=(10 if reasons else 6, 3.6), layout="constrained")
    panels = figure.subplots(1, 2 if reasons else 1, squeeze=False)[0]

    edges = histogram["edges"]
    for part, colour in (("train", BLUE), ("test", ORANGE)):
        panels[0].stairs(histogram[part], edges, fill=True, alpha=0.6, color=colour, label=part)
    panels[0].set(xlabel="seconds", ylabel="clips", title="Durations")
    panels[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend()

    if reasons:
        left = [0] * len(reasons)
        for part, colour in (("train", BLUE), ("test", ORANGE)):
            counts = [len(dropped[part].get(reason, ())) for reason in reasons]
            panels[1].barh(reasons, counts, left=left, color=colour, alpha=0.6, label=part)
            left = [a + b for a, b in zip(left, counts, strict=True)]
        panels[1].set(xlabel="rows", title="Left out")
        panels[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.savefig(path, dpi=120)


def draw_training(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Error rates, losses and learning rate over steps, from a Trainer's `state.log_history`."""
    figure = Figure(figsize=(7, 8), layout="constrained")
    rates, losses, learning = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
    for panel, name, label, colour in (
        (rates, "eval_wer", "WER", BLUE),
        (rates, "eval_cer", "CER", ORANGE),
        (losses, "loss", "training", GREY),
        (losses, "eval_loss", "evaluation", BLUE),
        (learning, "learning_rate", "learning rate", GREEN),
    ):
        steps, values = _series(history, name)
        if steps:
            panel.plot(steps, values, color=colour, label=label, marker="o", markersize=3)
    best = min(zip(*reversed(_series(history, "eval_wer")), strict=True), default=None)
    if best:
        rates.annotate(f"{best[0]:.3f}", (best[1], best[0]), (0, 6), textcoords="offset points")
    rates.set(ylabel="error rate", title="Course of the training")
    rates.set_ylim(0, 1.1 * rates.get_ylim()[1])
    losses.set(ylabel="loss")
    learning.set(ylabel="learning rate", xlabel="step")
    for panel in (rates, losses):
        panel.grid(alpha=0.3)
        if panel.lines:
            panel.legend()
    learning.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.savefig(path, dpi=120)


def _series(history: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """The steps at which `name` was logged, and what it was."""
    points = [(entry["step"], float(entry[name])) for entry in history if name in entry]
    return [step for step, _ in points], [value for _, value in points]
