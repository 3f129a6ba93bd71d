"""Skin lesions on photographs through a dermatoscope: which of seven kinds.

python -m kmedtl.recipes.skin_lesion --data HAM10000_metadata.csv    # its images anywhere below the table

akiec, bcc, bkl, df, mel, nv and vasc; all photographs of a lesion are in the same split. HAM10000 (Tschandl et al.
2018; CC BY-NC 4.0): https://doi.org/10.7910/DVN/DBW86T.

Not measured yet.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Evaluation, Recipe

RECIPE = Recipe(
    name="skin_lesion",
    data=Data(source="HAM10000_metadata.csv", size=192, augment="skin"),
    tabular={"age": "number", "sex": "category", "localization": "category"},
    evaluation=Evaluation(groups=("sex",), operating_point="balanced"),
    schedule="auto",
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "skin_lesion", *sys.argv[1:]]))
