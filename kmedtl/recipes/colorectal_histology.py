"""Textures in histology of colorectal cancer: which of eight tissues.

python -m kmedtl.recipes.colorectal_histology                  # downloads it through TensorFlow Datasets, 246 MiB
python -m kmedtl.recipes.colorectal_histology --data FOLDER    # 01_TUMOR/ to 08_EMPTY/

5,000 tiles of ten slides (Kather et al. 2016; CC BY 4.0): https://zenodo.org/records/53169. Tiles are divided, not
slides, since few slides show every tissue: figures are better than those of a new slide. With the folder and
`--set 'data.patient_pattern=(CRC-Prim-HE-[0-9]+)'` slides are kept whole, where each split then has every tissue.

Not measured here: the data set was not at hand.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Recipe

RECIPE = Recipe(
    name="colorectal_histology",
    data=Data(source="tfds:colorectal_histology", size=160, augment="histology"),
    schedule="auto",
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "colorectal_histology", *sys.argv[1:]]))
