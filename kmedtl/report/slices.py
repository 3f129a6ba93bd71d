"""Slices of volumes along the axis, in figures and in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from kmedtl.files.digits import in_digits
from kmedtl.files.plot_style import ACCENT, SIDE, SOFT, bare
from kmedtl.tasks.task import Picture

if TYPE_CHECKING:
    from kmedtl.runs.slices import ShownVolume, SliceAnswers


def draw(slices: SliceAnswers | None) -> Iterator[tuple[str, Picture]]:
    """Yield a figure of each volume that the report explains; nothing where images were answered."""
    for number, volume in enumerate(slices.shown if slices else (), 1):
        yield f"slices-{number}", Picture(_along(volume), _in_words(volume), volume.id)


def _along(volume: ShownVolume) -> Figure:
    panels = [("Output", volume.outputs)] + ([("Weight", volume.shares)] if volume.shares is not None else [])
    figure = Figure(figsize=(SIDE, 1.8 * len(panels)), layout="constrained")
    step = np.diff(volume.places).min() / 2 if len(volume.places) > 1 else 0.5
    for axes, (name, values) in zip(figure.subplots(len(panels), squeeze=False, sharex=True).flat, panels, strict=True):
        for place in volume.places[volume.marked] if volume.marked is not None else ():
            axes.axvspan(place - step, place + step, color=SOFT, alpha=0.25, linewidth=0)
        axes.plot(volume.places, values, color=ACCENT, marker="o", markersize=3)
        axes.set(ylabel=name)
        bare(axes)
    axes.set(xlabel="mm from the first slice")
    return figure


def _in_words(volume: ShownVolume) -> str:
    highest = volume.outputs.argmax()
    words = [f"Slices of {volume.id}: output highest, {in_digits(volume.outputs[highest])}, {_at(volume, highest)}"]
    if volume.shares is not None:
        words += [f"weight highest, {in_digits(volume.shares.max())}, {_at(volume, volume.shares.argmax())}"]
    if volume.marked is not None and volume.marked.any():
        ends = np.flatnonzero(volume.marked)
        words += [f"marked from {volume.places[ends[0]]:.0f} to {volume.places[ends[-1]]:.0f} mm"]
    return "; ".join(words) + "."


def _at(volume: ShownVolume, slice_: np.intp) -> str:
    return f"at {volume.places[slice_]:.0f} mm"
