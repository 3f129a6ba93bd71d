"""What transfer buys: test AUC against the number of training images, with pretrained weights and without.

    python benchmarks/data_efficiency.py FOLDER [--images 100 300 1000 3000] [--size 224] [--scratch 20] [--out DIR]

For each number, three runs on the same test images, and no exported files:

- transfer: the pneumonia recipe, from ImageNet weights;
- scratch: random weights, everything trains, for `--scratch` epochs; without it, for as many as fit into the time that
  transfer took, at least one; reckoned by the step, so that with few images, where steps are the least of an epoch, it
  gets more than that time;
- logistic: no network trains; logistic regression on the features of the frozen backbone.

Training images are nested: a smaller number is a part of a larger one. Finished runs stay in DIR; started again, the
script goes on where it stopped. At last it compares all runs as `kmedtl compare` does, in `DIR/comparison`;
docs/data_efficiency.png is that plot, with `--scratch 20`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd

import kmedtl
from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    import keras

    from kmedtl.backbones.blocks import set_trainable
    from kmedtl.config import override
    from kmedtl.edge.tasks.classification.decoder import LOGITS
    from kmedtl.recipe import Recipe
    from kmedtl.recipes.pneumonia import RECIPE
    from kmedtl.runner import run
    from kmedtl.runs import compare_page
    from kmedtl.runs.compare import compare
    from kmedtl.runs.reopen import open_run
    from kmedtl.runs.train import build
    from kmedtl.tasks.classification.losses import MaskedCrossEntropy
    from kmedtl.tasks.classification.question import ClassQuestion

SCRATCH = "{{name: scratch, train: all, epochs: {epochs}, lr: 1e-3, batch_norm: train, views: 0}}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, nargs="+", default=[100, 300, 1000, 3000], help="training images, about")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--scratch", type=int, default=0, help="epochs from scratch; 0: the time of transfer")
    parser.add_argument("--out", type=Path, default=Path("saved_models/data_efficiency"))
    options = parser.parse_args()
    runs = []
    for images in options.images:
        three = list(three_runs(options, images))
        print("\n".join(["", *compare_page.summary(compare(three))]))
        runs += three
    comparison = compare(runs)
    page = options.out / "comparison"
    shutil.rmtree(page, ignore_errors=True)
    page.mkdir()
    compare_page.write(comparison, page, kmedtl.__version__)
    print("\n".join([*compare_page.summary(comparison), comparison.notice, f"Page: {page / 'compare.html'}"]))


def three_runs(options, images):
    """Yield the run folders of one number of training images; what is finished is not run again."""
    common = [f"data.source={options.folder}", f"data.size={options.size}", f"data.train_limit={images}"]
    common += ["export.formats=[]"]
    transfer = finished(options.out / f"transfer-{images}", override(RECIPE, common))
    yield transfer
    scratch = override(RECIPE, [*common, "backbone.weights=random", f"stages=[{SCRATCH.format(epochs=1)}]"])
    folder = options.out / f"scratch{options.scratch or ''}-{images}"
    epochs = options.scratch or (1 if folder.is_dir() else epochs_in_the_time_of(transfer, scratch))
    yield finished(folder, override(scratch, [f"stages.0.epochs={epochs}"]))
    yield finished(options.out / f"logistic-{images}", override(RECIPE, [*common, "stages=[]", "schedule=logistic"]))


def finished(folder: Path, recipe: Recipe) -> Path:
    if not folder.is_dir():
        print(f"\n{folder.name}")
        run(recipe, folder)
    return folder


def epochs_in_the_time_of(transfer: Path, recipe: Recipe) -> int:
    """Return how many epochs of `recipe`, validation included, take as long as the training of the run did."""
    seconds = json.loads((transfer / "tracking.json").read_text())["seconds"]
    counts = pd.read_csv(transfer / "manifest.csv")["split"].value_counts()
    training, forward = seconds_a_batch(recipe, open_run(transfer).question)
    batches = {split: -(-counts[split] // recipe.data.batch_size) for split in ("train", "val")}
    epoch = batches["train"] * training + batches["val"] * forward
    epochs = max(1, int(seconds // epoch))
    print(f"transfer trained for {seconds:.0f} s; an epoch from scratch takes about {epoch:.1f} s: {epochs} epochs")
    return epochs


def seconds_a_batch(recipe: Recipe, question: ClassQuestion, repeats: int = 3) -> tuple[float, float]:
    """Return the seconds of a training step on the whole model, and of a prediction, once both are compiled."""
    model, blocks = build(recipe, question)
    set_trainable(model, blocks, "all", "trainable")
    model.compile(keras.optimizers.AdamW(1e-3), {LOGITS: MaskedCrossEntropy()})
    images = np.zeros((recipe.data.batch_size, recipe.data.size, recipe.data.size, recipe.data.channels), np.float32)
    targets = {LOGITS: np.zeros((len(images), 1), np.float32)}
    steps = (lambda: model.train_on_batch(images, targets)), (lambda: model.predict_on_batch(images))
    return tuple(_seconds(step, repeats) for step in steps)


def _seconds(step, repeats):
    step()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


if __name__ == "__main__":
    main()
