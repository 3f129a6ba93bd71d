"""What images without labels gain: labelled images alone beside each objective of a stage that takes both.

    python benchmarks/unlabelled.py FOLDER [--recipe pneumonia] [--labels 50 100 300] [--seeds 1 2 3] [--size 96]
                                    [--objectives pseudo mean_teacher mixmatch] [--limit N] [--out DIR]

For each seed, which draws the split, and each number of labelled training images, a run on these alone and one for each
objective, which takes the rest of the training images without their labels. All have the same test, and patients of
validation and test are in no training image. The head is trained on the labels; then the last two blocks with it, by
the objective, or on the labels alone for as many steps, from the same rate and with the same average of the weights.

For each it prints the test's headline figure and its paired gain over the labels alone, with an interval by patient,
and at last the mean of each objective's gains over the seeds, with the lowest and the highest. Validation, by which
epoch and calibration are chosen, keeps all of its labels: where it has as few of them as training, expect less.

`--recipe skin_lesion` takes HAM10000, without the fields beside the image. Finished runs stay in DIR; started again,
the script goes on where it stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    from kmedtl.config import override
    from kmedtl.data import manifest as manifests
    from kmedtl.data import sources
    from kmedtl.recipe import Data, Recipe, Stage
    from kmedtl.recipes import find
    from kmedtl.runner import run
    from kmedtl.runs.compare import compare
    from kmedtl.system.text_tables import aligned

ALONE = "labels alone"
EPOCHS = 5  # of the stage that takes both
SEED = 7  # of the images that `--limit` leaves
TEST = 0.4  # of the images: a difference of few points is to be told from chance
HEAD = Stage("head", train="head", epochs=10, lr=3e-3)
BOTH = Stage("both", train="last:2", epochs=EPOCHS, lr=3e-4, views=4, ema=0.99)
# Weights of the unlabelled part: 1 of a cross-entropy; 10 of squared differences, which are at most 1.
OBJECTIVES = {
    "pseudo": replace(BOTH, objective="pseudo"),
    "mean_teacher": replace(BOTH, objective="mean_teacher", unlabelled_weight=10.0),
    "mixmatch": replace(BOTH, objective="mixmatch", unlabelled_weight=10.0),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="a source of labelled images; phantom:120 for a trial")
    parser.add_argument("--recipe", default="pneumonia")
    parser.add_argument("--labels", type=int, nargs="+", default=[50, 100, 300], help="labelled training images, about")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), choices=OBJECTIVES)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--limit", type=int, default=0, help="images in all, about; 0: every one")
    parser.add_argument("--out", type=Path, default=Path("saved_models/unlabelled"))
    options = parser.parse_args()
    # Nothing is explained or exported: what is measured is the model.
    settings = [f"data.size={options.size}", f"data.test={TEST}", "export.formats=[]", "evaluation.cases=0"]
    plain = replace(find(options.recipe), tabular={}, schedule="stages", stages=(HEAD, BOTH))
    recipe = override(plain, [*settings, f"data.source={options.folder}"])
    if options.limit:
        recipe = override(recipe, [f"data.source={listed(replace(recipe.data, limit=options.limit), options.out)}"])

    rows = [["labels", "seed", "objective", "unlabelled", "test", "gain"]]
    gains: dict[tuple[int, str], list[float]] = {}
    for labels in options.labels:
        for seed in options.seeds:
            few = override(recipe, [f"data.train_limit={labels}", f"seed={seed}"])
            folders = group(few, options.objectives, options.out / f"{labels}-{seed}")
            found = compare(list(folders.values()))
            for name, one, gain in zip(folders, found.runs, found.gains, strict=True):
                others = "" if name == ALONE else str(unlabelled_of(folders[name]))
                rows.append([str(one.training_images), str(seed), name, others, str(one.headline), str(gain or "")])
                if gain is not None and name != ALONE:
                    gains.setdefault((labels, name), []).append(gain.value)
    print("\n".join(["", *aligned(rows), "", *aligned(summed_up(gains))]))


def listed(data: Data, out: Path) -> Path:
    """List the images that a limit leaves, labelled and unlabelled alike; return where."""
    out.mkdir(parents=True, exist_ok=True)
    images = sources.load(data, SEED)
    manifests.write(replace(images, table=images.table.assign(split="")), out / "images.csv")
    return out / "images.csv"


def group(recipe: Recipe, objectives: list[str], place: Path) -> dict[str, Path]:
    """Return the runs of one number of labels and one seed by their objective, that on labels alone first."""
    data = replace(recipe.data, unlabelled=recipe.data.source)
    taught = {
        name: finished(replace(recipe, data=data, stages=(HEAD, OBJECTIVES[name])), place / name) for name in objectives
    }
    epochs = as_many_steps(recipe, next(iter(taught.values())))
    alone = replace(recipe, stages=(HEAD, replace(BOTH, epochs=epochs)))
    return {ALONE: finished(alone, place / "labels")} | taught


def as_many_steps(recipe: Recipe, taught: Path) -> int:
    """Return how many epochs of the labelled images have the steps of a stage that took both kinds."""
    labelled = (pd.read_csv(taught / "manifest.csv")["split"] == "train").sum()
    batch = recipe.data.batch_size
    steps = max(-(-unlabelled_of(taught) // batch), -(-labelled // batch))
    return max(1, round(EPOCHS * steps / -(-int(labelled) // batch)))


def unlabelled_of(folder: Path) -> int:
    return len(pd.read_csv(folder / "unlabelled.csv"))


def finished(recipe: Recipe, folder: Path) -> Path:
    if not folder.is_dir():
        print(f"\n{folder}")
        run(recipe, folder)
    return folder


def summed_up(gains: dict[tuple[int, str], list[float]]) -> list[list[str]]:
    """Return a row an objective and a number of labels: its gains over the seeds."""
    rows = [["labels", "objective", "seeds", "mean gain", "lowest", "highest"]]
    for (labels, name), each in gains.items():
        figures = [f"{value:+.4f}" for value in (np.mean(each), min(each), max(each))]
        rows.append([str(labels), name, str(len(each)), *figures])
    return rows


if __name__ == "__main__":
    main()
