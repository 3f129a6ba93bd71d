"""Lungs and consolidations on chest X-rays: masks of two structures.

python -m kmedtl.recipes.lungs                  # the synthetic thorax, offline
python -m kmedtl.recipes.lungs --data FOLDER    # images/ and masks/, or NAME_mask.png beside NAME.png
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="lungs",
    task=Segmentation(),
    data=Data(
        source="phantom", size=160, channels=1, augment="xray", structures={"lung": "*_lung*", "lesion": "*_mask*"}
    ),
    head=Head("unet", hidden=64),
    stages=(
        Stage("decoder", train="head", epochs=8, lr=2e-3, views=3),
        Stage("last blocks", train="last:2", epochs=4, lr=3e-4),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "lungs", *sys.argv[1:]]))
