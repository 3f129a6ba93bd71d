"""The images of another hospital as a model sees them, with what is known of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kmedtl.edge.adaptation.decide import Site
from kmedtl.edge.batches import batches
from kmedtl.edge.given_fields import Given
from kmedtl.edge.image_tables import keys_of, rows_by_image
from kmedtl.edge.out_of_distribution import OutOfDistribution
from kmedtl.edge.predictor import NOTHING, Model
from kmedtl.edge.shapes import FEATURES
from kmedtl.edge.tasks.task import OneScore, Outputs
from kmedtl.errors import UserError
from kmedtl.images.decode import decode_all
from kmedtl.system.printable import shown

LABEL, PATIENT = "label", "patient"


def seen_by(
    model: Model,
    score: OneScore,
    kind: OutOfDistribution | None,
    places: Sequence[str],
    given: Given,
    labels: Path | None = None,
) -> tuple[Site, np.ndarray]:
    """Return a site's images as a model sees them, and their scores of `kind`, (N,); unreadable ones are left out.

    Args:
        places: files of images.
        given: what is known beside them, of `kmedtl.edge.given_fields`.
        labels: a table with columns `label` and, as far as several images are of one patient, `patient`.

    Raises:
        UserError: none that can be read, or labels that are not of this question or of none of the images.
    """
    known = _known(labels, places, score.names) if labels else [(-1, place) for place in places]
    beside = given(places) if model.fields else [NOTHING] * len(places)
    found: list[Outputs] = []
    kept: list[int] = []
    unreadable: list[str] = []
    for batch in batches(enumerate(decode_all([(place, None) for place in places], model.reading))):
        readable = [(row, pixels) for row, (_, pixels) in batch if pixels is not None]
        unreadable += [f"{places[row]}: {facts.error}" for row, (facts, pixels) in batch if pixels is None]
        if readable:
            rows, images = zip(*readable, strict=True)
            found.append(model.outputs_each(np.stack(images), [beside[row] for row in rows]))
            kept += rows
    if unreadable:
        more = f" and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
        print(f"Left out: {shown(unreadable[0])}{more}.", file=sys.stderr)
    if not found:
        raise UserError("--data: expected images. Received: none that can be read.")
    scores = np.concatenate([one[score.output][:, 0] for one in found]).astype(np.float64)
    numbers, patients = zip(*(known[row] for row in kept), strict=True)
    coordinates, unlike = np.empty((len(kept), 0)), np.zeros(len(kept))
    if kind is not None and FEATURES in found[0]:
        features = np.concatenate([one[FEATURES] for one in found])
        coordinates, unlike = kind.coordinates(features), kind.score(features)
    return Site(scores, coordinates, np.array(numbers), np.array(patients, object)), unlike


def _known(path: Path, places: Sequence[str], names: tuple[str, str]) -> list[tuple[int, str]]:
    """Return label (1, 0 or −1) and patient of each image; without a patient each image is of another."""
    table = rows_by_image(path, (LABEL, PATIENT), "--labels")
    numbers = {names[0].casefold(): 0, "0": 0, names[1].casefold(): 1, "1": 1, "": -1}
    found = [_row(table, place) for place in places]
    if not any(found):
        raise UserError(f"--labels: {path}: expected a row an image; none names {Path(places[0]).name}.")
    return [
        (_number(row.get(LABEL, ""), numbers, names, path), row.get(PATIENT) or place)
        for row, place in zip(found, places, strict=True)
    ]


def _row(table: Mapping[str, list], place: str) -> Mapping[str, str]:
    meant = next((table[key] for key in keys_of(place) if key in table), [])
    if len(meant) > 1:
        raise UserError(f"--labels: rows with different values for {Path(place).name}; write its path.")
    return meant[0] if meant else {}


def _number(text: str, numbers: Mapping[str, int], names: tuple[str, str], path: Path) -> int:
    if text.casefold() not in numbers:
        raise UserError(f"--labels: {path}: expected {names[0]}, {names[1]}, 0, 1 or nothing. Received: {text!r:.40}.")
    return numbers[text.casefold()]
