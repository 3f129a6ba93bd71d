"""Which backbones a test looks at: one of each family, and all of them with KMEDTL_EVERY_BACKBONE=1."""

import os
from collections.abc import Iterable

import pytest

EVERY = "KMEDTL_EVERY_BACKBONE" in os.environ
SMALLEST = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetLite0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNetV2_035",
    "MobileNetV3Small",
    "MobileNet_075",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
)
QUICK = ("MobileNetV2_035",)


def quick_first(rows: Iterable, quick: Iterable[str] = QUICK) -> list:
    """Return rows (or names) as parameters of a test, of which all but the quick ones are marked slow."""
    wanted = set(quick)
    return [row if getattr(row, "name", row) in wanted else pytest.param(row, marks=pytest.mark.slow) for row in rows]
