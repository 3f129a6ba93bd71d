"""What a model file says about itself, in sentences: what goes in, what comes out, when it calls a finding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kmedtl.edge.model_info import ModelInfo
from kmedtl.system.titles import title

MOST = 5  # figures that are listed


def lines(path: Path, info: ModelInfo) -> Iterator[str]:
    """Yield the lines that a person reads."""
    yield f"{path}: a model of kmedtl {info.kmedtl}"
    yield ""
    yield from _told("Goes in", _goes_in(info))
    for heading, sentence in info.task.in_words(info.decoder):
        yield from _told(heading, [sentence])
    known = "can tell" if info.out_of_distribution else "cannot tell"
    yield from _told("Knows", [f"it {known} images that are unlike those it was trained on"])
    yield from _told("Measured", _measured(info))
    yield from _told("Was made", _was_made(info))
    yield from _told("Updated", [text for one in info.updated for text in (str(one), one.reason)])
    yield from _told("Adapted", [str(one) for one in info.adapted])
    yield from _told("Meant for", [info.intended_use])


def _told(title: str, sentences: list[str]) -> Iterator[str]:
    for number, sentence in enumerate(sentences):
        yield f"{'' if number else title:<11}{sentence}"


def _goes_in(info: ModelInfo) -> list[str]:
    kind = "gray" if info.channels == 1 else "colour"
    parts = [f"one {kind} image, resized to {info.size} × {info.size} pixels, values 0 to 255"]
    if info.takes_volumes:
        how = f"; their outputs pooled by {info.slices}" if info.slices else ""
        parts = [f"the slices of one volume, each as {parts[0]}{how}"]
    if info.views:
        seen = f"one image ({info.size} × {info.size} pixels, {kind}, values 0 to 255) or the slices of one volume"
        how = f"; the slices of a volume pooled by {info.slices}"
        parts = [f"an examination: of each of {', '.join(info.views)}, as far as there, {seen}{how}"]
    window = info.window
    if window.center is not None and window.width is not None:
        parts.append(f"images of more than 8 bits through the window {window.center:g} ± {window.width / 2:g}")
    elif window.name:
        parts.append(f"images of more than 8 bits through their own window '{window.name}'")
    if info.pixel_offset:
        parts.append(f"from whose stored values {info.pixel_offset:g} is taken first")
    if info.fields:
        parts.append(f"beside it, as far as known: {', '.join(map(str, info.fields))}")
    return parts


def _measured(info: ModelInfo) -> list[str]:
    figures = list(info.metrics.items())[:MOST]
    parts = [f"{title(name)} {value:.3f} ({low:.3f} to {high:.3f})" for name, (value, low, high) in figures]
    return ["on test images, 95 % intervals in brackets:", *parts] if parts else []


def _was_made(info: ModelInfo) -> list[str]:
    parts = [f"by the recipe {info.recipe} on {info.source}, seed {info.seed}"]
    if info.synthetic:
        parts.append("from SYNTHETIC images alone: its answers say nothing about patients")
    if info.weights:
        parts.append(f"from imported weights, {info.weights.get('file')}, licence {info.weights.get('licence')}")
    return [*parts, info.made] if info.made else parts
