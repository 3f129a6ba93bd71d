"""What augmentation costs, and what one map instead of three layers gains.

    python benchmarks/augmentation.py [--size 224] [--images 64] [--presets xray skin …]

For each preset the milliseconds an image, in batches of 32. Then the geometry of `xray` as three
layers of Keras, one after another, beside one map: milliseconds, and how sharp images stay, as the mean slope between
neighbouring pixels over that of the images themselves. The images are films of the synthetic thorax. Medians of five;
compare ratios, as other work on the machine falsifies times.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import tensorflow as tf

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    import keras

    from kmedtl.config import override
    from kmedtl.data.augment import PRESETS, augmentation
    from kmedtl.data.moving_layers import RandomAffine
    from kmedtl.recipes import find
    from kmedtl.runs.prepare import prepare_recipe
    from kmedtl.system.text_tables import aligned

BATCH = 32
TIMES = 5
MAP = dict(PRESETS["xray"])["RandomAffine"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=PRESETS)
    options = parser.parse_args()
    images = films(options.images, options.size)
    gray = tf.constant(images)
    colour = tf.repeat(gray, 3, axis=-1)
    rows = [["preset", "channels", "ms an image"]]
    for preset in options.presets:
        for channels, given in ((1, gray), (3, colour)):
            spent, _ = timed(augmentation(preset, channels, 0), given)
            rows.append([preset, str(channels), f"{spent:.2f}"])
    print("\n".join(aligned(rows)))

    rows, slope = [["geometry of xray", "ms an image", "sharpness"]], slope_of(images)
    for name, layers in (("three layers", three_layers()), ("one map", [RandomAffine(**MAP, seed=0)])):
        spent, varied = timed(layers, gray)
        rows.append([name, f"{spent:.2f}", f"{slope_of(varied) / slope:.3f}"])
    print("\n".join(["", *aligned(rows)]))


def films(count: int, size: int) -> np.ndarray:
    """Return films, float32 (N, size, size, 1) in 0–255."""
    recipe = override(find("pneumonia"), [f"data.source=phantom:{count}", f"data.size={size}", "data.channels=1"])
    return np.stack(list(prepare_recipe(recipe).store.images().take(count).as_numpy_iterator())).astype(np.float32)


def three_layers() -> list[keras.Layer]:
    """Return the map's parts, as Keras has them."""
    layers = keras.layers
    return [
        layers.RandomRotation(MAP["rotation"], "constant", seed=0),
        layers.RandomTranslation(MAP["height"], MAP["width"], "constant", seed=1),
        layers.RandomZoom(MAP["zoom"], fill_mode="constant", seed=2),
    ]


def timed(layers: list[keras.Layer], images: tf.Tensor) -> tuple[float, np.ndarray]:
    """Return milliseconds an image, and the varied images of the last time."""

    def vary(batch: tf.Tensor) -> tf.Tensor:
        for layer in layers:
            batch = layer(batch, training=True)
        return batch

    batches, spent, varied = tf.data.Dataset.from_tensor_slices(images).batch(BATCH).map(vary), [], []
    for _ in range(1 + TIMES):  # the first one is traced
        start = time.perf_counter()
        varied = list(batches.as_numpy_iterator())
        spent.append(1000 * (time.perf_counter() - start) / len(images))
    return median(spent[1:]), np.concatenate(varied)


def slope_of(images: np.ndarray) -> float:
    """Return the mean difference between neighbours in a row, away from the border."""
    edge = images.shape[1] // 5
    return float(np.abs(np.diff(images[:, edge:-edge, edge:-edge], axis=2)).mean())


if __name__ == "__main__":
    main()
