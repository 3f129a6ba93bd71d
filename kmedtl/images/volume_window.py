"""Which part of a volume's range becomes 256 levels: Hounsfield units of CT, percentiles of MR."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kmedtl.errors import expect
from kmedtl.images.pixels import to_levels, voi_share
from kmedtl.images.volume import Volume, refusal

HAS_UNITS = ("CT", "")  # modalities whose values may be Hounsfield units; NIfTI files do not say theirs


@dataclass(frozen=True)
class HounsfieldWindow:
    """A fixed range of CT values, black to white (PS3.3 C.11.2.1.2): the same tissue is as bright in every volume.

    Attributes:
        center, width: in Hounsfield units, such as 40 and 400 for the abdomen.
    """

    center: float
    width: float
    kind: Literal["hounsfield"] = "hounsfield"

    def __post_init__(self) -> None:
        expect(math.isfinite(self.center), "window.center", "a finite number", self.center)
        expect(0 < self.width < math.inf, "window.width", "more than 0", self.width)


@dataclass(frozen=True)
class PercentileWindow:
    """A range found anew in each volume: for MR, whose values have no unit.

    Attributes:
        low, high: percentiles of the voxels above the volume's smallest value, which is the air around the body where
            it was masked or padded; these become black and white.
    """

    low: float = 0.5
    high: float = 99.5
    kind: Literal["percentiles"] = "percentiles"

    def __post_init__(self) -> None:
        expect(
            0 <= self.low < self.high <= 100, "window.low, window.high", "0 ≤ low < high ≤ 100", (self.low, self.high)
        )


VolumeWindow = HounsfieldWindow | PercentileWindow


def levels(volume: Volume, window: VolumeWindow) -> np.ndarray:
    """Return what is seen of a volume, uint8 (slices, H, W), 0 black and 255 white; what lies outside is cut off.

    Raises:
        UnreadableImageError: a window in Hounsfield units of a volume that is not CT.
    """
    share = _SHARES[window.kind](volume, window)
    return np.stack([to_levels(share(one)) for one in volume.values])  # a slice at a time: float64 takes room


Share = Callable[[np.ndarray], np.ndarray]


def _hounsfield(volume: Volume, window: HounsfieldWindow) -> Share:
    if volume.modality not in HAS_UNITS:
        remedy = "Its values have no such unit: take percentiles"
        raise refusal("a window in Hounsfield units", "CT", volume.modality, remedy)
    return lambda values: voi_share(values, window.center, window.width)


def _percentiles(volume: Volume, window: PercentileWindow) -> Share:
    inside = volume.values[volume.values > volume.values.min()]
    if not len(inside):
        return np.zeros_like  # of one value, everywhere
    low, high = (float(one) for one in np.percentile(inside, (window.low, window.high)))
    return lambda values: (values.astype(np.float64) - low) / max(high - low, np.finfo(np.float64).tiny)


_SHARES: Mapping[str, Callable[[Volume, Any], Share]] = {"hounsfield": _hounsfield, "percentiles": _percentiles}
