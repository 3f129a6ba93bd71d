"""Malaria in single red blood cells of a stained smear: uninfected or parasitized.

python -m kmedtl.recipes.malaria                         # downloads it through TensorFlow Datasets, 337 MiB
python -m kmedtl.recipes.malaria --data cell_images      # as its makers offer it: Parasitized/ and Uninfected/

The second way is the better one: its file names begin with the patient (C33P1thinF_…), so that all cells of a patient
are in the same split; TensorFlow Datasets leaves the names out. 27,558 cells of the National Library of Medicine
(Rajaraman et al. 2018; the page states no licence that we know of): https://lhncbc.nlm.nih.gov/publication/pub9932.

Not measured here: the data set was not at hand.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Recipe

RECIPE = Recipe(
    name="malaria",
    data=Data(
        source="tfds:malaria",
        classes=("uninfected", "parasitized"),
        patient_pattern=r"(C\d+)",
        size=128,
        augment="histology",
    ),
    schedule="auto",
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "malaria", *sys.argv[1:]]))
