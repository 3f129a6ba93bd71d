"""Whether images suit the recipe that reads them: colour, modality, size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import read_image
from kmedtl.images.reading import Reading
from kmedtl.images.slices import MODE as VOLUME
from kmedtl.images.workers import Failure, Job, in_workers
from kmedtl.recipe import Data

SAMPLE = 200  # images that are looked at for colour
LOOK = Reading(64, 3)
GRAY = frozenset(
    ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "MONOCHROME1", "MONOCHROME2", VOLUME)
)  # modes without colour
CHROMA = 6.0  # mean difference of the largest and the smallest channel, in levels, from which an image is coloured
SECONDS = 20.0
MOSTLY = 0.5
TINY = 3  # an image is far too small where its longer side is less than the model's size by this factor
# Presets of augmentation: whether they are for coloured images, and DICOM's modalities that they are for.
PRESETS = {
    "xray": (False, ("CR", "DX", "MG", "PX", "RG", "RF", "XA", "IO")),
    "xray_strong": (False, ("CR", "DX", "MG", "PX", "RG", "RF", "XA", "IO")),
    "mri": (False, ("MR",)),
    "ultrasound": (False, ("US", "IVUS")),
    "skin": (True, ("XC", "ES", "OT")),
    "retina": (True, ("OP", "XC", "OPT")),
    "histology": (True, ("SM", "GM", "XC")),
}


@dataclass(frozen=True)
class Mismatch:
    """Something in which images and recipe do not suit each other.

    Attributes:
        text: a sentence with the way out.
        grave: it changes what the model can see, so that a run is refused.
    """

    text: str
    grave: bool = False


def mismatches(table: pd.DataFrame, data: Data, synthetic: bool) -> list[Mismatch]:
    """Return how the readable images of a manifest do not suit `data`.

    Args:
        table: with `id`, `path`, `frame`, `mode`, `bits`, and `width` and `height` in pixels.
    """
    if synthetic or table.empty:
        return []
    coloured, looked_at = _coloured(table)
    return [*_colour(coloured, looked_at, data), *_depth(table, data), *_modality(table, data), *_size(table, data)]


def _colour(coloured: int, looked_at: int, data: Data) -> Iterator[Mismatch]:
    if not looked_at:
        return
    share, count = coloured / looked_at, f"{coloured} of {looked_at} images looked at are coloured"
    for_colour = PRESETS.get(data.augment, (share > MOSTLY, ()))[0]
    if data.channels == 1 and coloured:
        text = f"{count}, and data.channels=1 shows the model gray; set data.channels=3"
        yield Mismatch(f"{text}, or data.allow_mismatch=true.", grave=True) if share > MOSTLY else Mismatch(f"{text}.")
    elif 0 < coloured < looked_at:
        yield Mismatch(f"{count}, the others gray.")
    if data.channels == 3 and not coloured and not data.neighbours:
        yield Mismatch("The images are gray: with data.channels=1 the model sees the same.")
    if share > MOSTLY and not for_colour:
        yield Mismatch(f"{count}; data.augment={data.augment} is for gray ones: skin, retina or histology may suit.")
    if not coloured and for_colour:
        yield Mismatch(f"The images are gray; data.augment={data.augment} is for coloured ones.")


def _depth(table: pd.DataFrame, data: Data) -> Iterator[Mismatch]:
    """Say how images of more than 8 bits are seen."""
    deep = int(((table["bits"] > 8) & (table["mode"] != VOLUME)).sum())
    window = data.window
    if window.center is not None and window.width is not None:
        seen = f"through the window {window.center:g} ± {window.width / 2:g}, stored offset {data.pixel_offset:g}"
    elif window.name:
        seen = f"through their own window '{window.name}'"
    else:
        seen = "through the window that a DICOM file names, else each from its smallest to its largest value"
    if deep:
        yield Mismatch(f"{deep} images of more than 8 bits are seen {seen} (data.window).")


def _modality(table: pd.DataFrame, data: Data) -> Iterator[Mismatch]:
    suited = PRESETS.get(data.augment, (False, ()))[1]
    if "modality" in table and suited:
        others = table.loc[~table["modality"].isin(["", *suited]), "modality"].value_counts()
        if len(others):
            counts = ", ".join(f"{count} {name}" for name, count in others.items())
            yield Mismatch(f"data.augment={data.augment} is not for images of these modalities: {counts}.")


def _size(table: pd.DataFrame, data: Data) -> Iterator[Mismatch]:
    longer = table[["width", "height"]].max(axis=1)
    small = int((longer * TINY < data.size).sum())
    if small:
        yield Mismatch(
            f"{small} of {len(table)} images are far smaller than data.size={data.size} (median {longer.median():g} "
            "pixels) and are enlarged, which adds nothing to them."
        )


def _coloured(table: pd.DataFrame) -> tuple[int, int]:
    """Return how many of a sample of the images are coloured, and how many of them could be looked at."""
    order = table["id"].map(lambda name: hashlib.sha256(name.encode()).hexdigest())
    sample = table.loc[order.sort_values().index[:SAMPLE]]
    may_be = sample.loc[~sample["mode"].isin(GRAY), ["path", "frame"]].itertuples(index=False, name=None)
    job = Job(partial(is_coloured, reading=LOOK), SECONDS)
    answers = list(in_workers(job, list(may_be), "Looking for colour"))
    known = [answer for answer in answers if isinstance(answer, bool)]
    return sum(known), int(sample["mode"].isin(GRAY).sum()) + len(known)


def is_coloured(file: tuple[str, str], reading: Reading) -> bool | Failure:
    """Tell whether a (path, frame) shows more than shades of gray, as `shows_colour` does."""
    path, frame = file
    try:
        pixels = read_image(path, reading, int(frame) if frame else None).pixels
    except UnreadableImageError as error:
        return Failure(str(error))
    return shows_colour(pixels)


def shows_colour(pixels: np.ndarray) -> bool:
    """Tell whether uint8 (H, W, 3) shows more than shades of gray; small marks in colour do not count."""
    return bool(np.ptp(pixels, axis=2).mean() > CHROMA)
