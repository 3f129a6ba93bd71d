"""The part of a recipe that says which files are written, and what they may differ from the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kmedtl.errors import expect

Format = Literal["saved_model", "float32", "float16", "dynamic", "int8", "onnx"]


@dataclass(frozen=True)
class Gate:
    """What a file may differ from the model on the test images, its calibration fitted anew through it.

    Attributes:
        float32: largest change of a probability, of `saved_model`, `float32` and `onnx`.
        float16: largest change of a probability, of `float16`.
        auc_loss: of the headline figure (AUC, R², kappa, Dice), what `int8` and `dynamic` may lose beyond chance.
        mean_difference: mean change of a probability, of `int8` and `dynamic`.
        flips: share of images that are decided otherwise, of `int8` and `dynamic`.
        dice_apart: 1 − Dice between the masks of model and file, of `int8` and `dynamic`.
        pixels_changed: share of pixels that are called otherwise, of `int8` and `dynamic`.
    """

    float32: float = 1e-3
    float16: float = 5e-3
    auc_loss: float = 0.005
    mean_difference: float = 0.03
    flips: float = 0.02
    dice_apart: float = 0.01
    pixels_changed: float = 0.002

    def __post_init__(self) -> None:
        for name in ("float32", "float16", "auc_loss", "mean_difference", "flips", "dice_apart", "pixels_changed"):
            value = getattr(self, name)
            expect(0 <= value <= 1, f"export.gate.{name}", "0 to 1", value)


@dataclass(frozen=True)
class Export:
    """What is written beside `model.keras`.

    Attributes:
        formats: of the files, in any order.
        calibration_images: of the int8 file: so many training images, stratified by label.
        gate: what a file may differ from the model.
    """

    formats: tuple[Format, ...] = ("saved_model", "float32", "int8")
    calibration_images: int = 64
    gate: Gate = field(default_factory=Gate)

    def __post_init__(self) -> None:
        count = self.calibration_images
        expect(count >= 1, "export.calibration_images", "at least 1", count)
