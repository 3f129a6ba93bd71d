"""Ultrasound of the breast: where a lesion is, and whether it is benign, malignant or none, by one network.

python -m kmedtl.recipes.breast_ultrasound --data FOLDER    # class folders, NAME_mask.png beside NAME.png

BUSI (Al-Dhabyani et al. 2020; for its licence see its page): https://scholar.cu.edu.eg/?q=afahmy/pages/dataset.

Measured with `--folds 5` on 48 images of it, 32 of them with a lesion, seed 7: Dice 0.508
(95 % 0.414–0.600), macro AUC of the three classes 0.840 (95 % 0.723–0.914). So few images teach little: with 647,
others report a Dice of 0.73 to 0.80.
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
