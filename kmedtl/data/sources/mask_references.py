"""Which images a DICOM Segmentation is of, by what it says itself: where no name tells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kmedtl.images.file_kinds import is_dicom
from kmedtl.images.workers import Failure, Job, in_workers

SECONDS = 20.0  # for one file


def referenced_images(masks: Sequence[Path], images: Sequence[Path]) -> dict[Path, tuple[Path, ...]]:
    """Return the images of each mask that is a DICOM Segmentation and refers to some of them, in their order.

    They have a SOPInstanceUID that it names; or it names none, but a series that has one image alone.

    Args:
        images: what they may belong to; DICOM files are read where there is such a mask, the others have no UID.
    """
    asking = [mask for mask in masks if is_dicom(mask)]
    if not asking:
        return {}
    from kmedtl.images.dicom_seg import references, uids_of  # pydicom is slow to import, and most sets have none

    modules = ("kmedtl.images.dicom_seg",)
    known = [image for image in images if is_dicom(image)]
    own = in_workers(Job(partial(uids_of), SECONDS, modules), list(map(str, known)), "Looking for images of masks")
    by_uid: dict[str, list[Path]] = defaultdict(list)
    by_series: dict[str, list[Path]] = defaultdict(list)
    for image, uids in zip(known, own, strict=True):
        if not isinstance(uids, Failure):
            by_uid[uids[0]].append(image)
            by_series[uids[1]].append(image)
    found: dict[Path, tuple[Path, ...]] = {}
    named = in_workers(Job(partial(references), SECONDS, modules), list(map(str, asking)), "Looking into masks")
    for mask, named_by in zip(asking, named, strict=True):
        if isinstance(named_by, Failure):
            continue
        instances, series = named_by
        alone = [by_series[uid][0] for uid in series if len(by_series.get(uid, ())) == 1] if not instances else []
        chosen = {image for uid in instances for image in by_uid.get(uid, ())} | set(alone)
        if chosen:
            found[mask] = tuple(image for image in known if image in chosen)
    return found
