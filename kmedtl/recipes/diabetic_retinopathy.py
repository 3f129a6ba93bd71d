"""Diabetic retinopathy on photographs of the retina, in five grades in order: by ordinal grading.

python -m kmedtl.recipes.diabetic_retinopathy --data FOLDER    # APTOS 2019's: train.csv, train_images/

0 none, 1 mild, 2 moderate, 3 severe, 4 proliferative; referable from 2 on. Any table with an image and such a grade a
row will do, see `data.columns`. The table of APTOS names no patients, so two eyes of one may be in two splits.
APTOS 2019 (Asia Pacific Tele-Ophthalmology Society; under the rules of its competition):
https://www.kaggle.com/c/aptos2019-blindness-detection.

Not measured here: the data set was not at hand.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Ordinal, Recipe

RECIPE = Recipe(
    name="diabetic_retinopathy",
    task=Ordinal(referable="2"),
    data=Data(
        source="aptos2019",
        classes=("0", "1", "2", "3", "4"),
        size=320,  # the first signs are a few pixels wide
        aspect="keep",
        batch_size=16,
        augment="retina",
    ),
    schedule="auto",
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "diabetic_retinopathy", *sys.argv[1:]]))
