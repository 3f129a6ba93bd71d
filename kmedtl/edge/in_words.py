"""What a model file says about itself, in sentences: what goes in, what comes out, when it calls a finding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kmedtl.edge.model_info import ModelInfo

NAMES = {
    "auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity", "balanced_accuracy": "balanced accuracy",
}  # fmt: skip
MOST = 6  # findings that are told one by one


def lines(path: Path, info: ModelInfo) -> Iterator[str]:
    """Yield the lines that a person reads."""
    yield f"{path}: a model of kmedtl {info.kmedtl}"
    yield ""
    yield from _told("Goes in", _goes_in(info))
    yield from _told("Comes out", _comes_out(info))
    yield from _told("Decides", _decides(info))
    yield from _told("Measured", _measured(info))
    yield from _told("Was made", _was_made(info))
    yield from _told("Meant for", [info.intended_use])


def _told(title: str, sentences: list[str]) -> Iterator[str]:
    for number, sentence in enumerate(sentences):
        yield f"{'' if number else title:<11}{sentence}"


def _goes_in(info: ModelInfo) -> list[str]:
    kind = "gray" if info.channels == 1 else "colour"
    told = [f"one {kind} image, resized to {info.size} × {info.size} pixels, values 0 to 255"]
    if info.window.center is not None:
        told.append(f"images of more than 8 bits through the window {info.window.center:g} ± {info.window.width / 2:g}")
    elif info.window.name:
        told.append(f"images of more than 8 bits through their own window '{info.window.name}'")
    if info.pixel_offset:
        told.append(f"from whose stored values {info.pixel_offset:g} is taken first")
    return told


def _comes_out(info: ModelInfo) -> list[str]:
    names = _listed(info.findings)
    told = {
        "binary": f"the probability of {names}, 0 to 1",
        "multi_class": f"a probability of each of {len(info.classes)} classes, together 1: {names}",
        "multi_label": f"a probability of each of {len(info.classes)} findings, 0 to 1: {names}",
    }[info.kind]
    method = info.calibration.method
    said = "as the network gives them" if method == "none" else f"calibrated on validation ({method})"
    known = "can tell" if info.out_of_distribution else "cannot tell"
    return [f"{told}; {said}", f"it {known} images that are unlike those it was trained on"]


def _decides(info: ModelInfo) -> list[str]:
    if not info.thresholds:
        return ["for the most probable class"]
    if info.kind == "binary":
        other = info.classes[0] if len(info.classes) == 2 else f"no {info.findings[0]}"
        return [f"{info.findings[0]} from probability {info.thresholds[0]:.3f} on, else {other}"]
    rules = [f"{name} from {point:.3f} on" for name, point in zip(info.findings, info.thresholds, strict=True)]
    return [f"each finding by itself: {_listed(rules)}"]


def _measured(info: ModelInfo) -> list[str]:
    figures = {name: info.metrics[name] for name in NAMES if name in info.metrics}
    told = [f"{NAMES[name]} {value:.3f} ({low:.3f} to {high:.3f})" for name, (value, low, high) in figures.items()]
    return ["on test images, 95 % intervals in brackets:", *told] if told else []


def _was_made(info: ModelInfo) -> list[str]:
    told = [f"by the recipe {info.recipe} on {info.source}, seed {info.seed}"]
    if info.synthetic:
        told.append("from SYNTHETIC images alone: its answers say nothing about patients")
    return [*told, info.made] if info.made else told


def _listed(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
