"""Pneumonia on chest X-rays: NORMAL or PNEUMONIA.

python -m kmedtl.recipes.pneumonia                  # the synthetic thorax, offline
python -m kmedtl.recipes.pneumonia --data FOLDER    # NORMAL/ and PNEUMONIA/ folders, or a CSV manifest

Kermany et al. 2018, children's films (CC BY 4.0): https://data.mendeley.com/datasets/rscbjbr9sj/2.

Measured by the second command on the training part of it (4,759 films, 224 px; 713 test films of 373
patients who are in no other split), defaults, seed 7:
AUC 0.998 (95 % 0.988–0.9995), balanced accuracy 0.984 (95 % 0.965–0.992).
Time: 13 min 8 s on two slow cores.
Films of another hospital will do worse; the border of these films alone reaches AUC 0.959.
`python docs/measure.py --films FOLDER` measures this anew.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Recipe, Stage

RECIPE = Recipe(
    name="pneumonia",
    data=Data(
        source="phantom",
        classes=("NORMAL", "PNEUMONIA"),
        # Kermany et al. 2018: person12_bacteria_34.jpeg, IM-0115-0001.jpeg, NORMAL2-IM-1018-0001.jpeg. Whether the two
        # kinds of IM numbers are the same people is not known, so they count as the same.
        patient_pattern=r"(person\d+)_|(IM-\d+)",
        channels=1,
        augment="xray",
    ),
    stages=(
        Stage("head", train="head", epochs=6, lr=3e-3),
        Stage("last blocks", train="last:2", epochs=3, lr=3e-4),
        Stage("deeper", train="last:3", epochs=2, lr=1e-4),
    ),
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "pneumonia", *sys.argv[1:]]))
