"""Chest X-rays: which of 14 findings a film shows, any of them or none.

python -m kmedtl.recipes.chest_findings --data Data_Entry_2017.csv    # NIH ChestX-ray14, its images below the table
python -m kmedtl.recipes.chest_findings --data train.csv              # CheXpert, from its own folder

NIH ChestX-ray14 (Wang et al. 2017; no restriction on use, attribution asked for):
https://nihcc.app.box.com/v/ChestXray-NIHCC. Where its `test_list.txt` lies beside the table, those films are the test.
CheXpert (Irvin et al. 2019; Stanford's research use agreement, not commercial), 13 findings:
https://stanfordmlgroup.github.io/competitions/chexpert/.

Not measured here: the data sets were not at hand.
"""

from __future__ import annotations

import sys

from kmedtl.recipe import Data, Evaluation, Recipe

RECIPE = Recipe(
    name="chest_findings",
    data=Data(
        source="Data_Entry_2017.csv",
        uncertain="ignore",  # CheXpert's −1 teaches nothing; `zeros` and `ones` are the alternatives
        channels=1,
        augment="xray",
    ),
    evaluation=Evaluation(groups=("sex",)),
    schedule="auto",
)

if __name__ == "__main__":
    from kmedtl.cli import main

    sys.exit(main(["run", "chest_findings", *sys.argv[1:]]))
