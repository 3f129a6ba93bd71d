"""The liver and its tumours on CT volumes: two structures, slice by slice, judged in three dimensions.

python -m kmedtl.recipes.liver_tumor                             # 60 synthetic abdomens on two scanners, offline
python -m kmedtl.recipes.liver_tumor --data Task03_Liver         # as downloaded: imagesTr/, labelsTr/

Medical Segmentation Decathlon, task 3 (http://medicaldecathlon.com, CC BY-SA 4.0): 131 CT volumes with the liver as 1
and tumours as 2; give --set data.size=256 for its slices of 512 pixels. Measured by the first command, seed 7, 15 test
volumes of as many synthetic people: Dice of the liver 0.970 (95 % 0.932–0.987), of tumours 0.417 (0.241–0.616). It says
nothing about patients.
"""

from __future__ import annotations

import sys

from kmedtl.images.reading import Window
from kmedtl.recipe import Backbone, Data, Evaluation, Head, Recipe, Segmentation, Stage

RECIPE = Recipe(
    name="liver_tumor",
    task=Segmentation(loss="crossentropy"),  # Dice may learn from empty slices to call nothing
    data=Data(
        source="phantom_liver:60",
        size=96,
        aspect="keep",
        neighbours=1,
        window=Window(center=60, width=350),
        batch_size=16,
        augment="none",
        structures={"liver": 1, "tumor": 2},
        validation=0.2,
        test=0.25,
    ),
    backbone=Backbone("Tiny", "random"),
    head=Head("unet"),
    stages=(Stage("all", train="all", epochs=10, lr=4e-3, batch_norm="train", views=0),),
    evaluation=Evaluation(groups=("site",)),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "liver_tumor", *sys.argv[1:]]))
