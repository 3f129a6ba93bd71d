"""Cells of the blood under the microscope: which of eight kinds.

python -m kmedtl.recipes.blood_cells --data FOLDER    # a folder a kind of cell, such as basophil/ and platelet/

Normal peripheral blood cells (Acevedo et al. 2020; 17,092 images of single cells; CC BY 4.0):
https://data.mendeley.com/datasets/snkd93bnjr/1. Other sets of single cells in class folders do as well; of
`bloodmnist.npz`, the same cells at 28 pixels, see the recipe `medmnist`. Whose cells they are is not said, so cells of
one person may be in two splits.

Not measured here: the data set was not at hand.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Recipe

RECIPE = Recipe(
    name="blood_cells",
    data=Data(source="PBC_dataset_normal_DIB", size=160, augment="histology"),
    schedule="auto",
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "blood_cells", *sys.argv[1:]]))
