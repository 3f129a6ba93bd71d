"""Ultrasound of the breast: where a lesion is, and whether it is benign, malignant or none, by one network.

python -m kmedtl.recipes.breast_ultrasound --data FOLDER    # class folders, NAME_mask.png beside NAME.png

Measured as the last lines of docs/tasks.md say.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Classification, Data, Head, Multi, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="breast_ultrasound",
    task=Multi({"lesion": Segmentation(), "diagnosis": Classification()}),
    data=Data(
        source="breast_ultrasound",
        size=192,
        aspect="keep",
        batch_size=2,
        channels=1,
        augment="ultrasound",
        missing_masks="empty",
    ),
    head=Head("unet"),
    stages=(
        Stage("decoder", train="head", epochs=20, lr=2e-3, views=6),
        Stage("deeper", train="last:6", epochs=20, lr=5e-4, views=6),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "breast_ultrasound", *sys.argv[1:]]))
