"""Layers that give images the style of others of their batch, as another scanner's might be; what they show stays."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from kmedtl.data.varying_layers import Varying


class FourierMix(Varying):
    """Mixes the amplitudes of each image's low frequencies with those of another of the batch; every phase stays.

    Amplitudes hold contrast, brightness and texture, phases what is where. Each image has a partner, drawn without
    replacement, and a weight of 0 to `strength` that the partner's amplitudes have.

    Sources: Xu et al., A Fourier-based Framework for Domain Generalization (FACT), 2021, equation 6, which mixes all
    frequencies; Yang & Soatto, FDA: Fourier Domain Adaptation for Semantic Segmentation, 2020, equation 4, which
    exchanges the low ones alone.

    Args:
        share: of the highest frequency, up to which rows and columns of the spectrum are mixed, above 0 to 1; FDA's β
            is half of it, and 1 is FACT.
        strength: the highest weight of a partner, 0 to 1.

    Takes and returns float32 (N, H, W, C) in 0–255.
    """

    def __init__(self, share: float, strength: float = 1.0, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(seed, **kwargs)
        self.share, self.strength = share, strength

    def vary(self, images: keras.KerasTensor) -> keras.KerasTensor:
        count = keras.ops.shape(images)[0]
        partners = keras.ops.argsort(keras.random.uniform((count,), seed=self.generator))
        weights = keras.random.uniform((count, 1, 1, 1), 0, self.strength, seed=self.generator)
        mixed = with_amplitudes(images, keras.ops.take(images, partners, axis=0), weights, self.share)
        return keras.ops.clip(mixed, 0, 255)


def with_amplitudes(images: tf.Tensor, others: tf.Tensor, weights: tf.Tensor, share: float) -> tf.Tensor:
    """Return images whose amplitudes at low frequencies are (1 − weight)·their own + weight·the other's.

    Takes and returns float32 (N, H, W, C); weights are (N, 1, 1, 1). A frequency that an image has nothing of has no
    phase either, and stays 0.
    """
    height, width = images.shape[1:3]
    spectra, foreign = (tf.signal.rfft2d(tf.transpose(part, (0, 3, 1, 2))) for part in (images, others))
    own, other = tf.abs(spectra), tf.abs(foreign)
    low = _low_frequencies(height, width, share)
    mixed = own + weights * low * (other - own)
    scaled = spectra * tf.cast(tf.math.divide_no_nan(mixed, own), spectra.dtype)
    return tf.transpose(tf.signal.irfft2d(scaled, (height, width)), (0, 2, 3, 1))


def _low_frequencies(height: int, width: int, share: float) -> np.ndarray:
    """Return 1 where rows and columns of the half spectrum are at most `share` of the highest frequency, float32."""
    down, across = np.abs(np.fft.fftfreq(height)), np.fft.rfftfreq(width)
    return ((down[:, None] <= share / 2) & (across <= share / 2)).astype(np.float32)
