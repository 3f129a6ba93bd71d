"""Nuclei under the microscope: one mask of many small parts.

python -m kmedtl.recipes.nuclei --data FOLDER    # images/ and masks/
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="nuclei",
    task=Segmentation(),
    data=Data(source="nuclei", size=256, aspect="keep", batch_size=4, augment="histology"),
    head=Head("unet", detail=True),
    stages=(
        Stage("decoder", train="head", epochs=8, lr=2e-3, views=4),
        Stage("deeper", train="last:6", epochs=10, lr=5e-4, views=4),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "nuclei", *sys.argv[1:]]))
