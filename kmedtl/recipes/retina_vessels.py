"""Vessels on photographs of the retina, at full resolution: one thin structure.

python -m kmedtl.recipes.retina_vessels --data FOLDER    # images/ and 1st_manual/, as DRIVE has them

A small U-Net learns from scratch on patches. Measured with `--folds 5` on 10 photographs of DRIVE (Staal et al. 2004),
of which each fold trains on seven, chooses by one and leaves two out, seed 7: Dice 0.759 (95 % 0.631–0.852), where a
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
        size=584,  # the longer side of DRIVE's photographs, so that nothing is scaled; the strides divide it
        aspect="keep",
        batch_size=2,
        augment="symmetries",  # vessels are a pixel wide, which any rotation would blur
        structures={"vessel": "*manual*"},
        patch=256,
        patches=16,
        validation=0.12,
    ),
    backbone=Backbone("Tiny", "random"),
    head=Head("unet"),
    stages=(Stage("all", train="all", epochs=14, lr=3e-3, batch_norm="train", views=0),),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "retina_vessels", *sys.argv[1:]]))
