"""The hippocampus on MR volumes: two structures, slice by slice, judged in three dimensions.

python -m kmedtl.recipes.hippocampus --data FOLDER    # Task04_Hippocampus as downloaded, or images/ and labels/

Medical Segmentation Decathlon, task 4 (http://medicaldecathlon.com, CC BY-SA 4.0): 260 volumes of about 35 × 50 × 36
voxels of 1 mm. Measured on 150 of them, each counted as a patient (30 of the test), seed 7: Dice 0.860 (95 %
0.832–0.885), anterior 0.865 and posterior 0.856; 95 % Hausdorff distance 1.45 mm (1.20–1.74). 41 minutes in all on
two cores that ran other work as well.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Backbone, Data, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="hippocampus",
    task=Segmentation(loss="crossentropy"),  # Dice may learn from empty slices to call nothing
    data=Data(
        source="hippocampus",
        size=64,  # the longest side of a slice is 59 voxels
        aspect="keep",
        neighbours=1,
        batch_size=16,
        augment="mri",
        structures={"anterior": 1, "posterior": 2},
        test=0.2,
    ),
    backbone=Backbone("Tiny", "random"),
    head=Head("unet"),
    stages=(Stage("all", train="all", epochs=20, lr=4e-3, batch_norm="train", views=0),),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "hippocampus", *sys.argv[1:]]))
