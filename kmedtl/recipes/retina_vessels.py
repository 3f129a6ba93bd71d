"""Vessels on photographs of the retina, at full resolution: one thin structure.

python -m kmedtl.recipes.retina_vessels --data FOLDER    # images/ and 1st_manual/, as DRIVE has them

A small U-Net learns from scratch on patches. Measured with `--folds 5` on 10 photographs of DRIVE (Staal et al. 2004),
of which each fold trains on six, chooses by two and leaves two out, seed 7: Dice 0.719 (95 % 0.601–0.814), where a
second observer reaches about 0.79.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Backbone, Data, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="retina_vessels",
    task=Segmentation(),
    data=Data(
        source="retina",
        size=608,  # 19 · 32, the next to DRIVE's 584 pixels: nothing is scaled down, and each stride divides it
        aspect="keep",
        batch_size=2,
        augment="skin",  # a patch of vessels has no up and no left either
        structures={"vessel": "*manual*"},
        patch=256,
        patches=16,
    ),
    backbone=Backbone("Tiny", "random"),
    head=Head("unet", detail=True),
    stages=(Stage("all", train="all", epochs=10, lr=3e-3, batch_norm="train", views=0),),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "retina_vessels", *sys.argv[1:]]))
