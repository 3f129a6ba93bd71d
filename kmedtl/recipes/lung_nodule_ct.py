"""Lung nodules on chest CT: one answer for a volume, from its slices.

python -m kmedtl.recipes.lung_nodule_ct                  # 200 synthetic scans of two scanners, offline
python -m kmedtl.recipes.lung_nodule_ct --data SCANS     # NODULE/NAME.nii.gz and NO NODULE/NAME.nii.gz, or series

LUNA16 (https://luna16.grand-challenge.org, CC BY 4.0): convert each .mhd to .nii.gz, and give a table with `path`,
`patient` and `label`, NODULE where annotations.csv names the scan. NoduleMNIST3D (https://medmnist.com, CC BY 4.0): a
NIfTI file for each of the (28, 28, 28) arrays of its .npz, with its label in such a table. Measured by the first
command, seed 7, 49 test scans of as many synthetic people: AUC 0.604 (0.421–0.762). Nodules of 2 to 3 cm lie in few
slices, of which the mean of frozen features keeps too little to be told from chance. It says nothing about patients.
"""

from __future__ import annotations

import sys

from kmedtl.images.reading import Window
from kmedtl.recipe import Data, Evaluation, Recipe

RECIPE = Recipe(
    name="lung_nodule_ct",
    data=Data(
        source="phantom_ct:200",
        size=96,
        aspect="keep",
        neighbours=1,
        window=Window(center=-600, width=1500),
        augment="none",
        validation=0.2,
        test=0.25,
    ),
    schedule="logistic",
    evaluation=Evaluation(groups=("site",)),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "lung_nodule_ct", *sys.argv[1:]]))
