"""Vessels on photographs of the retina, at full resolution: one thin structure.

python -m kmedtl.recipes.retina_vessels --data FOLDER    # images/ and 1st_manual/, as DRIVE has them
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="retina_vessels",
    task=Segmentation(),
    data=Data(
        source="retina", size=576, aspect="keep", augment="retina", batch_size=2, structures={"vessel": "*manual*"}
    ),
    head=Head("unet", detail=True),
    stages=(
        Stage("decoder", train="head", epochs=8, lr=2e-3, views=3),
        Stage("last blocks", train="last:2", epochs=4, lr=3e-4),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "retina_vessels", *sys.argv[1:]]))
