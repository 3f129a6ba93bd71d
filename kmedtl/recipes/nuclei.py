"""Nuclei under the microscope: one mask of many small parts.

python -m kmedtl.recipes.nuclei --data FOLDER    # images/ and masks/
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="nuclei",
    task=Segmentation(),
    data=Data(source="nuclei", size=256, aspect="keep", augment="histology", batch_size=8),
    head=Head("unet", detail=True),
    stages=(
        Stage("decoder", train="head", epochs=8, lr=2e-3, views=3),
        Stage("last blocks", train="last:2", epochs=4, lr=3e-4),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "nuclei", *sys.argv[1:]]))
