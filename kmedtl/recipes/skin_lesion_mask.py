"""Where a skin lesion is on a photograph: one mask.

python -m kmedtl.recipes.skin_lesion_mask --data FOLDER    # images/ and masks/, metadata.csv of HAM10000 beside them
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="skin_lesion_mask",
    task=Segmentation(),
    data=Data(source="skin_lesions", size=192, aspect="keep", augment="skin", soft_masks="threshold"),
    head=Head("unet"),
    stages=(
        Stage("decoder", train="head", epochs=8, lr=2e-3, views=3),
        Stage("last blocks", train="last:2", epochs=4, lr=3e-4),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "skin_lesion_mask", *sys.argv[1:]]))
