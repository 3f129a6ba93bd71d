"""How much of the lungs a consolidation covers on chest X-rays: a number, by regression.

python -m kmedtl.recipes.lesion_area                # the synthetic thorax, offline
python -m kmedtl.recipes.lesion_area --data TABLE   # a CSV with `path` and `area`, a fraction of the lungs

Measured by the first command (480 synthetic films; 73 test films of 50 patients who are in no other split), seed 7:
R² 0.748 (95 % 0.567–0.929), mean absolute error 0.044 (95 % 0.033–0.059) of the lungs. It says nothing about patients.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Recipe, Regression, Stage

RECIPE = Recipe(
    name="lesion_area",
    task=Regression(target="area"),
    data=Data(source="phantom", channels=1, augment="xray"),
    stages=(
        Stage("head", train="head", epochs=6, lr=3e-3),
        Stage("last blocks", train="last:2", epochs=6, lr=3e-4),
        Stage("deeper", train="last:3", epochs=3, lr=1e-4),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "lesion_area", *sys.argv[1:]]))
