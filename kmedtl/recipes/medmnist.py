"""Any flat data set of the MedMNIST family, by its own splits: a class, or several findings, of a tiny image.

python -m kmedtl.recipes.medmnist --data pneumoniamnist.npz
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Recipe, Stage

RECIPE = Recipe(
    name="medmnist",
    data=Data(source="pneumoniamnist.npz", val_as_test=True, size=128, augment="xray"),
    stages=(
        Stage("head", train="head", epochs=3, lr=3e-3),
        Stage("all", train="all", epochs=8, lr=5e-4, layer_decay=0.85),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "medmnist", *sys.argv[1:]]))
