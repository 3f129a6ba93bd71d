"""A small convolutional network that learns from scratch: the baseline that a pretrained backbone has to beat.

Two 3×3 convolutions a block, each with batch normalisation; from the second block on, each block halves the map. With a
`unet` head it is a U-Net (Ronneberger et al. 2015) of about 100,000 weights.
"""

from __future__ import annotations

import keras
from keras import KerasTensor, layers

WIDTHS = (16, 24, 32, 40)  # of the blocks, at strides 1, 2, 4 and 8


def tiny(input_tensor: KerasTensor) -> keras.Model:
    """Return the model from the source input of `input_tensor` to the last feature map, randomly initialised."""
    x = input_tensor
    for number, width in enumerate(WIDTHS, 1):
        for part in (1, 2):
            strides = 2 if number > 1 and part == 1 else 1
            name = f"block{number}_{part}"
            x = layers.Conv2D(
                width, 3, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
            )(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(6, name=f"{name}_relu")(x)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)
