"""How a file becomes pixels: settings that training, store, exported model and scanner share. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from kmedtl.errors import UserError


@dataclass(frozen=True)
class Window:
    """Which part of a DICOM image's range is shown, from black to white (PS3.3 C.11.2).

    Attributes:
        name: with no center: the file's own window of this name (Window Center & Width Explanation). With one: a label.
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
        size: side of the square, in pixels; the aspect ratio is not kept.
        channels: 1 (gray) or 3 (RGB).
        window: for DICOM files.
    """

    size: int
    channels: int
    window: Window = field(default_factory=Window)
