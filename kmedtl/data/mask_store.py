"""The masks of a manifest's images, each decoded once to model size and kept in one file.

Keyed by the masks' stamps, the reader's version and its settings, as the store of images is; classes, patients and
splits are no part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kmedtl.data.mask_checks import MaskRow, check_answers, check_occurrence, check_rows
from kmedtl.files.cache import cache_folder, made_once, stamp
from kmedtl.images.decode_masks import MaskAnswer, MaskedImage, decode_masks
from kmedtl.images.marks import FOREGROUND
from kmedtl.images.slices import is_volume
from kmedtl.images.workers import Failure
from kmedtl.recipe import Data

VERSION = 1  # part of the key: raise it whenever the planes of any mask change
PLANES, FACTS = "masks.npy", "facts.csv"


@dataclass(frozen=True)
class MaskStore:
    """Masks of images in a fixed order.

    Attributes:
        structures: names, in the order of the planes.
        planes: uint8 (N, size, size, M), 1 where a structure is; mapped from a file, to be read only.
        facts: a row an image, in the order of `planes`: `id`, `files` (masks that were read), `values` (those found),
            and for each structure `area_NAME` (pixels of the file) and `share_NAME` (of the image, 0 to 1).
    """

    structures: tuple[str, ...]
    planes: np.ndarray
    facts: pd.DataFrame

    def of(self, ids: Iterable[str]) -> np.ndarray:
        """Return the masks of images by their ids, uint8 (n, size, size, M).

        Raises:
            KeyError: an id that the store does not hold.
        """
        wanted = list(ids)
        rows = pd.Index(self.facts["id"]).get_indexer(wanted)
        if (rows < 0).any():
            raise KeyError(wanted[int((rows < 0).argmax())])
        return self.planes[rows]


def prepare_masks(table: pd.DataFrame, data: Data) -> MaskStore:
    """Return the masks of a manifest's rows, decoding them (in parallel, with progress) where they are not cached.

    Args:
        table: columns `id`, `path`, `frame`, `mask` (paths joined by `|`), and `width` and `height` of the images as
            their files have them, upright.
        data: says which structures there are, and how images and masks are read.

    Raises:
        UserError: masks that are missing, cannot be read, do not fit their image or are no masks; values that no
            structure is named for; a structure that is nowhere; a cache folder that cannot be written.
    """
    structures = data.structures or FOREGROUND
    rows = sorted(_rows(table), key=lambda row: (row.path, row.id) if is_volume(row.path) else ("", row.id))
    check_rows(rows, structures, data.missing_masks == "empty")

    def decode_into(folder: Path) -> None:
        images = [MaskedImage(row.path, row.masks, row.frame) for row in rows]
        shape = (len(rows), data.size, data.size, len(structures))
        planes = np.lib.format.open_memmap(folder / PLANES, "w+", np.uint8, shape)
        answers: list[MaskAnswer | Failure] = []
        for number, answer in enumerate(decode_masks(images, structures, data.reading, data.soft_masks)):
            if isinstance(answer, MaskAnswer):
                planes[number] = answer.masks.planes
            answers.append(answer)
        planes.flush()
        found = check_answers(rows, answers)
        facts = pd.DataFrame(_facts(row, answer, structures) for row, answer in zip(rows, found, strict=True))
        check_occurrence(facts, structures)
        facts.to_csv(folder / FACTS, index=False)

    folder = made_once(_folder_of(rows, data), decode_into)
    facts = pd.read_csv(folder / FACTS, keep_default_na=False, dtype={"id": str, "values": str})
    return MaskStore(tuple(structures), np.load(folder / PLANES, mmap_mode="r"), facts)


def _rows(table: pd.DataFrame) -> Iterable[MaskRow]:
    for row in table.to_dict("records"):
        frame = int(row["frame"]) if row.get("frame") else None
        masks = tuple(part for part in row["mask"].split("|") if part)
        yield MaskRow(row["id"], row["path"], frame, masks, int(row["width"]), int(row["height"]))


def _folder_of(rows: Sequence[MaskRow], data: Data) -> Path:
    settings = {
        "version": VERSION,
        "reading": asdict(data.reading),
        "structures": list((data.structures or FOREGROUND).items()),
        "soft": data.soft_masks,
    }
    files = [(row.id, row.width, row.height, *((path, stamp(path)) for path in row.masks)) for row in rows]
    content = json.dumps([settings, files])
    return cache_folder() / "masks" / hashlib.sha256(content.encode()).hexdigest()[:16]


def _facts(row: MaskRow, answer: MaskAnswer, structures: Iterable[str]) -> dict[str, str | int | float]:
    files, areas = answer.masks.files.values(), dict(zip(structures, answer.masks.areas, strict=True))
    values = ", ".join(dict.fromkeys(value for file in files for value in file.values))
    found: dict[str, str | int | float] = {"id": row.id, "files": len(files), "values": values}
    found |= {f"area_{name}": area for name, area in areas.items()}
    return found | {f"share_{name}": area / (row.width * row.height) for name, area in areas.items()}
