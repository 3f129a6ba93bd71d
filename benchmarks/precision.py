"""What `training.precision` and `training.jit` cost or gain on this machine: milliseconds a training step.

    python benchmarks/precision.py [--backbone EfficientNetLite0] [--size 224] [--images 320]

Trains `last:2` for two epochs on random images behind the cached frozen part, once for each setting; the first epoch
compiles, the second is what a step costs. The default of the recipes is the setting that is fastest on two CPU cores.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace

import numpy as np
import pandas as pd

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    from kmedtl.data.in_memory import ImagesInMemory
    from kmedtl.data.pipeline import Pipeline
    from kmedtl.edge.tasks.classification.decoder import LOGITS
    from kmedtl.finetune.distribution import devices
    from kmedtl.finetune.stages import fine_tune
    from kmedtl.recipe import Backbone, Stage, Training
    from kmedtl.recipes.pneumonia import RECIPE
    from kmedtl.runs.train import build, training_job
    from kmedtl.tasks.classification.question import ClassQuestion

BATCH = 32


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="EfficientNetLite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=320)
    options = parser.parse_args()
    data = {name: noise(options.images, options.size, seed) for seed, name in enumerate(("train", "val"))}
    print(f"{'precision':<10} {'jit':<6} {'first epoch, s':>15} {'ms a step':>10}")
    for jit, precision in itertools.product((False, True), ("float32", "bfloat16", "float16")):
        training = Training(precision=precision, jit=jit)
        with devices(training):
            recipe = replace(
                RECIPE,
                data=replace(RECIPE.data, size=options.size, augment="none"),
                backbone=Backbone(options.backbone, "random"),
                stages=(Stage("step", "last:2", 2, 1e-4, views=1),),
                training=training,
                seed=0,
            )
            question = ClassQuestion("binary", RECIPE.data.classes)
            job = training_job(recipe, *build(recipe, question), data, question, print)
            first, second = fine_tune(job, recipe.stages).history
        print(f"{precision:<10} {jit!s:<6} {first.seconds:>15.1f} {second.step_ms:>10.0f}", flush=True)


def noise(count, size, seed):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, size, size, 1), dtype=np.uint8)
    targets = (np.arange(count) % 2).astype(np.float32)[:, None]
    table = pd.DataFrame({"id": [str(row) for row in range(count)], "record": range(count), "stratum": targets[:, 0]})
    return Pipeline(ImagesInMemory(pixels), table, {LOGITS: targets}, BATCH)


if __name__ == "__main__":
    main()
