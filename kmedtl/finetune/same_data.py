"""A training that goes on must learn from the images that it began with, and from what was known of them then."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from kmedtl.data.pipeline import Pipeline
from kmedtl.errors import UserError


def hashes_of(data: Mapping[str, Pipeline], distilled: bool = False, aligned: str = "") -> dict[str, str]:
    """Return SHA-256, hexadecimal, of `images`, `labels or masks` and any `fields` of all splits, in their order.

    Args:
        distilled: the targets of `train` are left out, since a teacher's answers among them are computed anew.
        aligned: a column of `train` that is learned from as well: its `domains`; empty: none.
    """
    images, targets = hashlib.sha256(), hashlib.sha256()
    for split, part in data.items():
        images.update(part.store.digest(part.table["record"].to_numpy()).encode())
        for array in part.targets.values() if not (distilled and split == "train") else ():
            for target in array:  # one by one, as masks may be mapped from a file
                targets.update(target.tobytes())
    found = {"images": images.hexdigest(), "labels or masks": targets.hexdigest()}
    if aligned:
        found["domains"] = hashlib.sha256("\n".join(data["train"].table[aligned].astype(str)).encode()).hexdigest()
    fields = [part.fields.values.tobytes() for part in data.values() if part.fields]
    return found | ({"fields": hashlib.sha256(b"".join(fields)).hexdigest()} if fields else {})


def check_same(began: Mapping[str, str], now: Mapping[str, str]) -> None:
    """See that hashes are those of the beginning; stages to come may no longer ask for what was hashed then.

    Raises:
        UserError: the first that differ.
    """
    for name, value in began.items():
        if now.get(name, value) != value:
            raise UserError(
                f"--resume: expected the {name} of training and validation that the run began with. Received: others, "
                "or divided otherwise; restore them, or leave --resume out to start anew."
            )
