"""Throughput of prepare, train and predict on a folder of real images: the baseline for later work.

    python benchmarks/throughput.py FOLDER [--limit 1000] [--size 224]

Prints images a second. Training is timed a stage, after one epoch that compiles; reading the warm store is timed too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from kmedtl.system.native_logs import quiet_stderr

with quiet_stderr():
    import keras

    from kmedtl.audit.audit import audit
    from kmedtl.backbones.blocks import set_trainable
    from kmedtl.data import sources, splits, store
    from kmedtl.data.pipeline import Variation, pipelines
    from kmedtl.edge.litert import LiteRTModel
    from kmedtl.edge.tasks.classification.decoder import LOGITS
    from kmedtl.export.formats import write_all
    from kmedtl.finetune.optimizers import optimizer
    from kmedtl.finetune.stage_data import predict_outputs
    from kmedtl.recipes.pneumonia import RECIPE
    from kmedtl.runs.train import build
    from kmedtl.tasks import task_of
    from kmedtl.tasks.classification.losses import MaskedCrossEntropy


def timed(label, images, work):
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    print(f"{label:<34} {images / seconds:>9.1f} images/s   ({images} images, {seconds:.1f} s)")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    recipe = replace(RECIPE, data=replace(RECIPE.data, source=options.folder, size=options.size))

    with tempfile.TemporaryDirectory() as folder:
        os.environ["KMEDTL_CACHE"] = folder  # an empty cache, so that preparing is measured, and nothing is left
        question, manifest = task_of(recipe.task).ask(recipe.task, recipe.data, sources.load(recipe.data, recipe.seed))
        table = splits.limit(manifest.table, options.limit, recipe.seed)
        manifest = replace(manifest, table=table)
        images = timed("prepare (decode to store)", len(table), lambda: store.prepare(table, recipe.data.reading))
        timed("read the store", images.count, lambda: sum(1 for _ in images.images()))
        _, table = audit(manifest, images, 0, recipe.seed)
        table = splits.split(manifest, table, 0.15, 0.15, recipe.seed)
        targets = lambda part: {LOGITS: manifest.targets(part)}  # noqa: E731
        data = pipelines(images, table, recipe.data.batch_size, targets)
        train(recipe, question, data, Path(folder))


def train(recipe, question, data, folder):
    model, blocks = build(recipe, question)
    count = len(data["train"].table)
    for stage in recipe.stages:
        trainer = keras.Model(model.inputs, model.output)
        set_trainable(trainer, blocks, stage.train)
        trainer.compile(optimizer(stage, 2 * data["train"].steps, trainer, blocks), {LOGITS: MaskedCrossEntropy()})
        for label in ("warm-up", f"train, stage {stage.name} ({stage.train})"):
            epoch = data["train"].epoch(0, Variation(recipe.data.augment))
            fit = lambda: trainer.fit(epoch, verbose=0, shuffle=False)  # noqa: B023, E731 (called at once)
            fit() if label == "warm-up" else timed(label, count, fit)
    pixels = data["test"].pixels()
    predict_outputs(model, data["test"])
    timed("predict, Keras", len(pixels), lambda: predict_outputs(model, data["test"]))
    for path in write_all(model, folder, data["train"].sample(64, 0).images):
        if path.suffix == ".tflite":
            runtime = LiteRTModel(path)
            runtime(pixels[:2])
            timed(f"predict, {path.name}, 1 thread", len(pixels), lambda: runtime(pixels))  # noqa: B023


if __name__ == "__main__":
    main()
