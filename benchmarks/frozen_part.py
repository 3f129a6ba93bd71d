"""How long a frozen part takes an image: with variables, with its weights as constants, and in LiteRT.

    python benchmarks/frozen_part.py [--backbone EfficientNetLite0] [--size 224] [--depths last:1 last:2]

The weights are random, which changes no time. All the cuts are computed at once, as by a run whose stages go deeper,
for 64 images: by TensorFlow eight at a time, by LiteRT 32. Medians of five; compare ratios, as other work on the
machine falsifies times. At last the largest difference of what LiteRT hands on to what Keras does, and seconds to
convert.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from statistics import median

import numpy as np

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    import keras
    import tensorflow as tf

    from kmedtl.backbones.blocks import Block, select
    from kmedtl.finetune.frozen_engine import AT_A_TIME, Compute, LiteRTPrefix, with_constants, with_variables
    from kmedtl.finetune.frozen_prefix import cut
    from kmedtl.recipe import Backbone
    from kmedtl.recipes import find
    from kmedtl.runs.train import build
    from kmedtl.system.text_tables import aligned
    from kmedtl.tasks.classification.question import ClassQuestion

IMAGES, TIMES = 64, 5
BATCH = 32
ENGINES = {"constants": with_constants, "variables": with_variables, "LiteRT": LiteRTPrefix}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="EfficientNetLite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--depths", nargs="+", default=["last:1", "last:2"], metavar="BLOCKS", help="what is trained")
    options = parser.parse_args()
    model, blocks = classifier(options.backbone, options.size)
    cuts = [cut(model, blocks, select(blocks, depth)) for depth in options.depths]
    prefix = keras.Model(model.inputs, [output for part in cuts for output in part.prefix.outputs])
    images = np.random.default_rng(0).uniform(0, 255, (IMAGES, *model.inputs[0].shape[1:])).astype(np.float32)
    rows, spent = [["frozen part", "ms an image", "times as fast"]], []
    for name, engine in ENGINES.items():
        start = time.perf_counter()
        compute = engine(prefix)
        seconds = time.perf_counter() - start
        spent.append(milliseconds(compute, images, BATCH if engine is LiteRTPrefix else AT_A_TIME))
        rows.append([name, f"{spent[-1]:.2f}", f"{spent[0] / spent[-1]:.2f}"])
    print("\n".join(aligned(rows)))
    found, expected = compute(tf.constant(images[:8])), keras.tree.flatten(prefix([images[:8]], training=False))
    differences = [np.abs(one - other).max() / np.abs(other).max() for one, other in zip(found, expected, strict=True)]
    print(f"\nlargest difference {max(differences):.1e} of the largest value; converted in {seconds:.1f} s")


def classifier(backbone: str, size: int) -> tuple[keras.Model, tuple[Block, ...]]:
    """Return a model of one finding with random weights, and its blocks."""
    recipe = find("pneumonia")
    recipe = replace(recipe, backbone=Backbone(backbone, "random"), data=replace(recipe.data, size=size))
    return build(recipe, ClassQuestion("binary", recipe.data.classes))


def milliseconds(compute: Compute, images: np.ndarray, at_a_time: int) -> float:
    """Return milliseconds an image."""
    batches = [tf.constant(images[at : at + at_a_time]) for at in range(0, len(images), at_a_time)]
    spent = []
    for _ in range(1 + TIMES):  # the first one warms up
        start = time.perf_counter()
        for batch in batches:
            for output in compute(batch):
                np.asarray(output)
        spent.append(1000 * (time.perf_counter() - start) / len(images))
    return median(spent[1:])


if __name__ == "__main__":
    main()
