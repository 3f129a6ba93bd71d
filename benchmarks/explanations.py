"""Where explanations point, and whether they depend on what was learned: each method on a run whose images have masks.

    python benchmarks/explanations.py RUN [--images 40] [--only NAME …]

Prints, of test images whose mask is not empty, the pointing game with Wilson's interval beside chance, seconds an
image, and the rank correlation with maps of randomised weights (8 images; seed 7).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from kmedtl.system.native_logs import loading_tensorflow

with loading_tensorflow():
    import keras

    from kmedtl import recipe as recipes
    from kmedtl.backbones.blocks import block_map
    from kmedtl.data.pipeline import pipelines
    from kmedtl.explain.methods import METHODS
    from kmedtl.explain.pointing_game import judge_pointing, read_masks
    from kmedtl.explain.sanity import sanity
    from kmedtl.images.decode_masks import MaskedImage
    from kmedtl.runs.prepare import prepare_recipe

SEED, RANDOMISED = 7, 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS), metavar="NAME")
    options = parser.parse_args()
    recipe = recipes.read(options.run / "recipe.yaml")
    model = keras.models.load_model(options.run / "model.keras", compile=False)
    blocks = block_map(model, recipe.backbone.name)
    which = next(iter(model.output)), 0
    images, masks, patients = with_masks(options.run, recipe, options.images)
    print(f"{len(images)} images")
    for name in options.only:
        start = time.perf_counter()
        maps = METHODS[name](model, images, which)
        seconds = (time.perf_counter() - start) / len(images)
        pointing = judge_pointing(maps, masks, patients)
        print(f"{name:<20} {pointing.hits}, chance {pointing.chance:.3f}, {seconds:.2f} s an image", flush=True)
        similarity = sanity(model, blocks, images[:RANDOMISED], which, METHODS[name], SEED).similarity
        print(f"{'':<20} {similarity}", flush=True)


def with_masks(folder, recipe, count):
    """Return so many test images whose mask is not empty, uint8, their masks, and their patients."""
    data = replace(recipe.data, source=str(folder / "manifest.csv"), labels="", limit=None, folds=0)
    prepared = prepare_recipe(replace(recipe, data=data))
    test = prepared.table[prepared.table["split"] == "test"].sort_values("record", ignore_index=True)
    lesions = "*_mask*" if recipe.data.source.startswith("phantom") else "*"  # a phantom has masks of lungs as well
    files = zip(test["path"], test["mask"], test["frame"], strict=True)
    images = [
        MaskedImage(path, tuple(filter(None, mask.split("|"))), int(frame) if frame else None)
        for path, mask, frame in files
    ]
    masks = read_masks(images, data.size, lesions)
    rows = np.flatnonzero(masks.any(axis=(1, 2)))
    rows = np.sort(np.random.default_rng(SEED).permutation(rows)[:count])
    part = pipelines(prepared.store, test.loc[rows], data.batch_size, targets=lambda part: {})["test"]
    return part.pixels(), masks[rows], part.table["patient"].to_numpy()


if __name__ == "__main__":
    main()
