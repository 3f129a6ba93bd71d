"""Vessels on photographs of the retina, at full resolution: one thin structure.

python -m kmedtl.recipes.retina_vessels --data FOLDER    # images/ and 1st_manual/, as DRIVE has them

Measured with `--folds 5` on 10 photographs of DRIVE (Staal et al. 2004), two of which each fold leaves out, seed 7:
Dice 0.697 (95 % 0.578–0.794), where a second observer reaches about 0.79. `--set backbone.name=Tiny` is worth a trial.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="retina_vessels",
    task=Segmentation(),
    data=Data(
        source="retina", size=576, aspect="keep", batch_size=1, augment="retina", structures={"vessel": "*manual*"}
    ),
    head=Head("unet", detail=True),
    stages=(
        Stage("decoder", train="head", epochs=20, lr=2e-3, views=6),
        Stage("deeper", train="last:6", epochs=20, lr=5e-4, views=6),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "retina_vessels", *sys.argv[1:]]))
