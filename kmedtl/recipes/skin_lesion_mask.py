"""Where a skin lesion is on a photograph: one mask.

python -m kmedtl.recipes.skin_lesion_mask --data FOLDER    # images/ and masks/, metadata.csv of HAM10000 beside them
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="skin_lesion_mask",
    task=Segmentation(),
    data=Data(source="skin_lesions", size=192, aspect="keep", batch_size=8, augment="skin", soft_masks="threshold"),
    head=Head("unet"),
    stages=(
        Stage("decoder", train="head", epochs=4, lr=2e-3),
        Stage("deeper", train="last:6", epochs=6, lr=5e-4),
        Stage("all", train="all", epochs=3, lr=2e-4),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "skin_lesion_mask", *sys.argv[1:]]))
