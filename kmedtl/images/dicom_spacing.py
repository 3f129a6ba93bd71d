"""How far apart the pixels of a DICOM image are (PS3.3 10.7)."""

from __future__ import annotations

import pydicom

from kmedtl.images.dicom_luts import numbers
from kmedtl.images.pixels import UnreadableImageError

UNKNOWN = (0.0, 0.0)
TAGS = ("PixelSpacing", "ImagerPixelSpacing")  # in the patient or as calibrated; at the detector, which magnifies


def spacing_of(data: pydicom.Dataset) -> tuple[float, float]:
    """Return the distances between rows and between columns in mm; 0 both where no tag, or no sound one, says them.

    Args:
        data: the tags of one frame, as of `kmedtl.images.dicom_luts.tags_of_frame`.
    """
    for name in TAGS:
        try:
            found = numbers(data, name)
        except UnreadableImageError:
            continue
        if len(found) == 2 and min(found) > 0:
            return found[0], found[1]
    return UNKNOWN
