"""Any flat data set of the MedMNIST family, by its own splits: a class, or several findings, of a tiny image.

python -m kmedtl.recipes.medmnist --data pneumoniamnist.npz
python -m kmedtl.recipes.medmnist --data retinamnist.npz --set task.kind=ordinal         # grades in order
python -m kmedtl.recipes.medmnist --data bloodmnist.npz --set data.augment=histology     # skin, retina: likewise

MedMNIST v2 (Yang et al. 2023; CC BY 4.0, DermaMNIST CC BY-NC 4.0): https://medmnist.com/. Classes are its numbers,
`--set 'data.classes=[normal, pneumonia]'` names them. A file without a test is judged by its validation part, see
`data.val_as_test`. Several sets have pictures in two of their splits, which is refused with the first pair named;
`--set data.allow_leakage=true` goes on, and the report says so.

Not measured yet.
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
