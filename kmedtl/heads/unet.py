"""A decoder from the feature maps of a backbone to one that is as fine as its finest: the expanding half of a U-Net.

Source: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation (MICCAI 2015). Here maps are
enlarged bilinearly and then convolved, which runs twice as fast in int8 where a transposed convolution gains nothing,
and each map of the backbone is narrowed by a 1×1 convolution first: the decoder stays below a million weights.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras import KerasTensor, layers

from kmedtl.recipe import Head

HALVED_FROM = 16  # the stride from which on, towards the image, each finer map has half the channels
NARROWEST = 16
OF_THE_IMAGE = 8  # channels that `detail` makes of the image


def unet(image: KerasTensor, pyramid: Mapping[int, KerasTensor], head: Head) -> KerasTensor:
    """Return one feature map (batch, h, w, C) of the finest stride's size; with `head.detail` of the image's size.

    Args:
        image: (batch, size, size, channels), values 0–255.
        pyramid: stride → feature map.
    """
    coarsest, *finer = sorted(pyramid, reverse=True)
    x = _narrowed(pyramid[coarsest], _width(coarsest, head), f"decoder{coarsest}_entry")
    for stride in finer:
        width = _width(stride, head)
        x = _enlarged(x, pyramid[stride], f"decoder{stride}_enlarge")
        x = layers.Concatenate(name=f"decoder{stride}_join")(
            [x, _narrowed(pyramid[stride], width, f"decoder{stride}_skip")]
        )
        x = _convolved(x, width, f"decoder{stride}_conv")
    if head.detail and finer[-1:] != [1]:
        x = _with_detail(x, image)
    return layers.SpatialDropout2D(head.dropout, name="decoder_dropout")(x)


def enlarged_to(x: KerasTensor, like: KerasTensor, name: str) -> KerasTensor:
    """Return a map at the size of another, bilinearly."""
    return x if x.shape[1:3] == like.shape[1:3] else _enlarged(x, like, name)


def _with_detail(x: KerasTensor, image: KerasTensor) -> KerasTensor:
    scaled = layers.Rescaling(1 / 127.5, -1.0, name="detail_normalise")(image)
    own = _convolved(scaled, OF_THE_IMAGE, "detail_image")
    joined = layers.Concatenate(name="detail_join")([_enlarged(x, image, "detail_enlarge"), own])
    return _convolved(joined, NARROWEST, "detail_conv")


def _width(stride: int, head: Head) -> int:
    return min(head.hidden, max(NARROWEST, head.hidden * stride // HALVED_FROM))


def _enlarged(x: KerasTensor, like: KerasTensor, name: str) -> KerasTensor:
    return layers.Resizing(*like.shape[1:3], interpolation="bilinear", name=name)(x)


def _narrowed(x: KerasTensor, width: int, name: str) -> KerasTensor:
    return layers.Conv2D(width, 1, activation="relu6", kernel_initializer="he_normal", name=name)(x)


def _convolved(x: KerasTensor, width: int, name: str) -> KerasTensor:
    # ReLU6: its range is known, so the int8 file spends all its steps on it.
    return layers.Conv2D(width, 3, padding="same", activation="relu6", kernel_initializer="he_normal", name=name)(x)
