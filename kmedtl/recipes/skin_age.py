"""How old somebody is, from a photograph of a skin lesion: a hard regression.

python -m kmedtl.recipes.skin_age --data metadata.csv    # HAM10000's table, its images beside it

Measured by it on 3,469 photographs of HAM10000 (Tschandl et al. 2018; 514 test images of 379 lesions that are in no
other split), seed 7: R² 0.226 (95 % 0.117–0.335), mean absolute error 11.3 (95 % 10.3–12.4) years, where the mean age
of all would be off by 13.5: a lesion tells little of age.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Evaluation, Recipe, Regression, Stage

RECIPE = Recipe(
    name="skin_age",
    task=Regression(target="age", unit="years"),
    data=Data(source="metadata.csv", augment="skin"),
    evaluation=Evaluation(groups=("sex",)),
    stages=(
        Stage("head", train="head", epochs=6, lr=3e-3),
        Stage("last blocks", train="last:2", epochs=6, lr=3e-4),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "skin_age", *sys.argv[1:]]))
