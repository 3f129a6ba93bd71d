"""The command `adapt`, whatever runs the model: images of another hospital in, a copy of the model file out."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import numpy as np

from kmedtl.edge import model_info
from kmedtl.edge.adaptation.decide import Decision, Site, decide
from kmedtl.edge.adaptation.evidence import IN_WORDS
from kmedtl.edge.adaptation.lineage import Adaptation, parent_of, sha256
from kmedtl.edge.adaptation.reference import Reference
from kmedtl.edge.adaptation.site import LABEL, seen_by
from kmedtl.edge.given_fields import given_fields
from kmedtl.edge.image_tables import listed_in
from kmedtl.edge.inputs import gathered
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.out_of_distribution import OutOfDistribution
from kmedtl.edge.predictor import Model
from kmedtl.edge.tasks.task import OneScore
from kmedtl.errors import UserError
from kmedtl.system.disk import room_on

SUFFIXES = (".tflite", ".keras")  # of files whose answers follow from their document alone


def adapt(options: argparse.Namespace, open_model: Callable[[Path], Model]) -> int:
    """Adapt a model file as `options` (of `kmedtl.edge.cli.add_adapt_options`) say, or name what it was adapted from.

    Raises:
        UserError: a file or a task that cannot be adapted, images or labels that do not suffice, or a copy that cannot
            be written.
    """
    if options.undo:
        print("\n".join(parent_of(options.undo, model_info.read(options.undo).adapted)))
        return 0
    path = options.model
    info = _adaptable(path, options)
    look, score = _known(path, info)
    images, labels = _listed(options.data, options.labels)
    site = options.site or f"site-{token_hex(4)}"
    target = options.out or path.with_name(f"{path.stem}-{site}{path.suffix}")
    if os.path.lexists(target):
        raise UserError(f"{target}: exists already; choose another --out or remove it.")
    given = given_fields(options.fields, info.fields)
    model, kind = open_model(path), info.out_of_distribution
    with gathered(images) as places:
        seen, unlike = seen_by(model, score, kind, list(places.values()), given, labels)
    decision = decide(look, score, seen, options.prevalence)
    print("\n".join([*_told(seen, decision), *decision.reasons]))
    if decision.decoder is None:
        print(f"{path} stays as it is; nothing was written.")
        return 0
    done = Adaptation(
        sha256(path), path.name, site, datetime.now(UTC).date().isoformat(), len(seen.scores), seen.known,
        IN_WORDS[decision.kind], decision.done,
    )  # fmt: skip
    if kind is not None and decision.kind in ("acquisition", "both") and look.unlike:
        kind = _moved(kind, float(np.median(unlike)) / look.unlike)
    changed = replace(
        info, decoder=decision.decoder, out_of_distribution=kind, metrics={}, parity={}, validation=None,
        adapted=(*info.adapted, done),
    )  # fmt: skip
    _write(changed, path, target)
    print(f"Adapted: {target}\nIts parent stays: {path}")
    return 0


def _adaptable(path: Path | None, options: argparse.Namespace) -> ModelInfo:
    if path is None or options.data is None:
        raise UserError("adapt: expected MODEL --data SITE, or --undo FILE.")
    if options.prevalence is not None and not 0 < options.prevalence < 1:
        raise UserError(f"--prevalence: expected a share above 0 and below 1. Received: {options.prevalence}.")
    info = model_info.read(path)
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a {' or '.join(SUFFIXES)} file; others answer by what is built into them.")
    return info


def _listed(data: str, labels: Path | None) -> tuple[list[str], Path | None]:
    """Return the images that `--data` means, and the table of their labels: itself, where it is one that has them."""
    if not Path(data).exists():
        raise UserError(f"--data: {data}: no such file or folder; expected a folder of images, or a CSV of paths.")
    if Path(data).suffix.lower() != ".csv":
        return [data], labels
    images, columns = listed_in(Path(data), "--data")
    return images, labels or (Path(data) if LABEL in map(str.casefold, columns) else None)


def _known(path: Path, info: ModelInfo) -> tuple[Reference, OneScore]:
    """Return how validation looked to the file, and the score that it decides by."""
    score = info.task.one_score(info.decoder)
    if score is None:
        raise UserError(
            f"{path}: expected a yes-or-no question, which is decided by one score. Received: another task."
        )
    if info.takes_volumes:
        raise UserError(f"{path}: expected a model of images. Received: one of volumes, which adapt cannot read yet.")
    if info.adapted:
        raise UserError(
            f"{path}: was adapted before, so nothing tells how validation looks to it; adapt its parent, "
            f"{info.adapted[-1].file} (see --undo)."
        )
    if info.validation is None:
        raise UserError(
            f"{path}: does not say how its validation looked, as of an older kmedtl or of fewer than 10 images a class;"
            " export it again (`kmedtl export RUN`)."
        )
    return info.validation, score


def _told(site: Site, decision: Decision) -> list[str]:
    labels = f", {site.known} of them labelled" if site.known else ""
    did = f": {decision.done}" if decision.done else ""
    return [f"{len(site.scores)} images{labels}: {IN_WORDS[decision.kind]}{did}."]


def _moved(kind: OutOfDistribution, factor: float) -> OutOfDistribution:
    """Return what tells images of another kind where those of the right kind score so many times as much.

    The median tells it, so that up to half of the images may be of another kind. What is flagged by its layout stays.
    """
    return replace(kind, threshold=kind.threshold * max(factor, 1.0))


def _write(info: ModelInfo, source: Path, target: Path) -> None:
    """Write the copy, whole or not at all."""
    aside = target.with_name(f".{target.stem}.unfinished{target.suffix}")
    try:
        with room_on(target, "make room, or choose another --out"):
            model_info.attach_to_copy(info, source, aside)
            aside.replace(target)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror}); choose another --out.") from None
    finally:
        aside.unlink(missing_ok=True)
