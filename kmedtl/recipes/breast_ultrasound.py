"""Lesions on ultrasound of the breast: one mask, empty where the breast is normal.

python -m kmedtl.recipes.breast_ultrasound --data FOLDER    # NAME_mask.png beside NAME.png, in class folders or not

Measured with `--folds 5` on 48 images of BUSI (Al-Dhabyani et al. 2020), 32 of them with a lesion, seed 7: Dice 0.458
(95 % 0.365–0.554). So few images teach little: with 647, others report 0.73 to 0.80.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="breast_ultrasound",
    task=Segmentation(),
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
