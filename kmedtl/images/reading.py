"""How a file becomes pixels: settings that training, store, exported model and scanner share. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from kmedtl.errors import UserError

Aspect = Literal["stretch", "keep"]


@dataclass(frozen=True)
class Window:
    """Which part of a deep image's range is shown, from black to white (PS3.3 C.11.2).

    Deep is every image of more than 8 bits a sample: DICOM, and gray PNG, TIFF, PGM and JPEG 2000 of 12, 16 or 32 bits.

    Attributes:
        name: with no center: a DICOM file's own window of this name (Window Center & Width Explanation). With one: a
            label.
        center, width: a window of one's own in modality units (Hounsfield for CT), such as −600 and 1500 for lungs.

    All empty: the file's first VOI LUT or window, else the range of its values.
    """

    name: str = ""
    center: float | None = None
    width: float | None = None

    def __post_init__(self) -> None:
        if (self.center is None) != (self.width is None):
            raise UserError(f"window: expected center and width together. Received: {self.center}, {self.width}.")
        if self.width is not None and not 0 < self.width < math.inf:
            raise UserError(f"window.width: expected more than 0. Received: {self.width}.")
        if self.center is not None and not math.isfinite(self.center):
            raise UserError(f"window.center: expected a finite number. Received: {self.center}.")


@dataclass(frozen=True)
class Reading:
    """What the pixels that a model sees depend on, beside the file itself.

    Attributes:
        size: side of the square, in pixels.
        channels: 1 (gray) or 3 (RGB).
        window: for images of more than 8 bits.
        pixel_offset: what was added to the values of such images, other than DICOM, before they were stored: 32768
            where Hounsfield units lie in an unsigned 16-bit PNG.
        aspect: `stretch` fills the square; `keep` makes the longer side `size` and centres the image on black, see
            `kmedtl.images.placement`.
        whole: the image as large as its file, and neither `size` nor `aspect` counts.
        neighbours: of slices of a volume: how many on each side are channels beside the slice itself, in their order;
            beyond the volume's ends, the last slice again.
    """

    size: int
    channels: int
    window: Window = field(default_factory=Window)
    pixel_offset: float = 0.0
    aspect: Aspect = "stretch"
    whole: bool = False
    neighbours: int = 0
