"""Which backbones a test looks at: one of each family, and all of them with KMEDTL_EVERY_BACKBONE=1."""

import os

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
