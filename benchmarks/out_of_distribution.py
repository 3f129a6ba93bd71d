"""How many images of another kind `kmedtl.statistics.out_of_distribution` tells from those that a run was trained on.

    python benchmarks/out_of_distribution.py [RUN] [--outliers FOLDER …] [--images 300] [--choose]

RUN is a run folder; without it a quick model is trained on `--data FOLDER` (recipe pneumonia, 400 images). Prints, with
Wilson's interval, how many images are called of another kind at the threshold that 99 % of validation keep: of the
run's own test; of blank, noise and inverted ones made of it; of two photographs; and of each folder given (without its
`_mask` files). With `--choose`, distances are compared on outliers made of *validation*, by which the one in use was
chosen; nothing that is reported takes part in the choice.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from kmedtl.system.native_logs import loading_tensorflow

with loading_tensorflow():
    import keras

    from kmedtl import recipe as recipes
    from kmedtl.config import override
    from kmedtl.data import splits
    from kmedtl.data.pipeline import pipelines
    from kmedtl.edge.out_of_distribution import to_length_one
    from kmedtl.edge.shapes import FEATURES
    from kmedtl.explain.features import outputs_and_features
    from kmedtl.images.file_kinds import SUFFIXES
    from kmedtl.images.read_image import read_image
    from kmedtl.recipes.pneumonia import RECIPE
    from kmedtl.runner import run
    from kmedtl.runs.prepare import prepare_recipe
    from kmedtl.statistics.confidence import wilson
    from kmedtl.statistics.out_of_distribution import PASSED, fit, fit_layout

SEED = 7


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="run folder")
    parser.add_argument("--data", help="folder to train a quick model on, where no run is given")
    parser.add_argument("--outliers", nargs="*", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--images", type=int, default=300, help="of each split and folder; of training twice as many")
    parser.add_argument("--choose", action="store_true", help="compare distances on outliers made of validation")
    options = parser.parse_args()
    if bool(options.run) == bool(options.data):
        parser.error("expected a run folder, or --data FOLDER")
    folder = options.run or run(override(RECIPE, [f"data.source={options.data}", "data.limit=400"]))[1]
    recipe = recipes.read(folder / "recipe.yaml")
    model = keras.models.load_model(folder / "model.keras", compile=False)
    images, patients = of_run(folder, recipe, options.images)
    training, validation = (features_of(model, images[split]) for split in ("train", "val"))
    if options.choose:
        choose(training, validation, {name: features_of(model, x) for name, x in made(images["val"]).items()})
        return
    known = replace(fit(training, validation), layout=fit_layout(images["train"], images["val"]))
    print(f"{len(training)} training and {len(validation)} validation images, {training.shape[1]} features")
    report(known, model, "own test", images["test"], patients["test"])
    for name, pixels in made(images["test"]).items():
        report(known, model, name, pixels, patients["test"] if len(pixels) == len(images["test"]) else None)
    photographs = [fitted(picture, recipe.data) for picture in load_sample_images().images]
    report(known, model, "photographs", np.stack(photographs))
    for folder in options.outliers:
        report(known, model, folder.name, of_folder(folder, recipe.data, options.images))


def features_of(model, images):
    return outputs_and_features(model, images)[FEATURES]


def of_run(folder, recipe, count):
    """Return about so many images of each split of the run, and their patients; of training twice as many."""
    data = replace(recipe.data, source=str(folder / "manifest.csv"), labels="", limit=None, folds=0)
    prepared = prepare_recipe(replace(recipe, data=data))
    table = splits.split(prepared.manifest, prepared.table, data.validation, data.test, recipe.seed)
    wanted = {"train": 2 * count, "val": count, "test": count}
    chosen = table.groupby("split", group_keys=False)[list(table)].apply(
        lambda part: part.sample(min(len(part), wanted[part["split"].iloc[0]]), random_state=SEED)
    )
    parts = pipelines(prepared.store, chosen, data.batch_size, targets=lambda part: {})
    return (
        {split: part.pixels() for split, part in parts.items()},
        {split: part.table["patient"].to_numpy() for split, part in parts.items()},
    )


def made(images):
    """Return outliers made of images: constant grey, noise, and the images inverted."""
    random = np.random.default_rng(SEED)
    greys = np.arange(0, 256, 10, dtype=np.uint8)
    return {
        "blank": np.broadcast_to(greys[:, None, None, None], (len(greys), *images.shape[1:])),
        "noise": random.integers(0, 256, images.shape, dtype=np.uint8),
        "inverted": 255 - images,
    }


def of_folder(folder, data, count):
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and "_mask" not in path.stem)
    chosen = np.random.default_rng(SEED).permutation(len(files))[:count]
    return np.stack([read_image(files[number], data.reading).pixels for number in sorted(chosen)])


def fitted(picture, data):
    image = Image.fromarray(picture).convert("L" if data.channels == 1 else "RGB")
    square = image.resize((data.size, data.size), Image.Resampling.BILINEAR)
    return np.asarray(square).reshape(data.size, data.size, data.channels)


def report(known, model, name, pixels, patients=None):
    called = known.unlike(features_of(model, pixels), pixels)
    patients = np.arange(len(called)) if patients is None else patients
    print(f"{name:<16} {wilson(called, patients)} of {len(called)}", flush=True)


def choose(training, validation, outliers):
    """Print for each distance the share of outliers beyond the threshold that 99 % of validation keep."""
    print(f"{'features, distance':<30}", *(f"{name:>9}" for name in outliers))
    for scaling, scale in {"as they are": np.asarray, "of length 1": to_length_one}.items():
        for name, distance in distances(scale(training)).items():
            threshold = np.quantile(distance(scale(validation)), PASSED, method="higher")
            shares = [(distance(scale(features)) > threshold).mean() for features in outliers.values()]
            print(f"{scaling + ', ' + name:<30}", *(f"{share:>9.1%}" for share in shares))


def distances(training):
    """Return the candidates, functions from features (N, D) to (N,), fitted to training features (M, D)."""
    mean = training.mean(axis=0)
    _, singular, directions = np.linalg.svd(training - mean, full_matrices=False)
    spread = np.square(singular) / (len(training) - 1)

    def parts(features, count):
        centred = features - mean
        along = centred @ directions[:count].T
        beyond = np.square(centred).sum(axis=1) - np.square(along).sum(axis=1)
        return (np.square(along) / spread[:count]).sum(axis=1), beyond * len(mean) / spread[count:].sum()

    def nearest(features, count):
        squares = np.square(features).sum(axis=1)[:, None] + np.square(training).sum(axis=1)
        return np.partition(squares - 2 * features @ training.T, count - 1, axis=1)[:, count - 1]

    found = {}
    for count in (8, 16, 32, 64):
        found[f"PCA {count}"] = lambda features, count=count: parts(features, count)[0]
        found[f"beyond PCA {count}"] = lambda features, count=count: parts(features, count)[1]
        found[f"both {count}"] = lambda features, count=count: sum(parts(features, count))
    for count in (1, 10):
        found[f"neighbour {count}"] = lambda features, count=count: nearest(features, count)
    return found


if __name__ == "__main__":
    main()
