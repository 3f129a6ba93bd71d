"""Slices of a volume as a bag, and images as bags of themselves."""

import numpy as np
import pandas as pd
import pytest

from kmedtl.data.bags import bags_of, check_known
from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.pipeline import Pipeline
from kmedtl.errors import UserError

TABLE = pd.DataFrame(
    {
        "id": ["b#2", "a#0", "b#0", "b#1", "a#1"],
        "volume": ["b", "a", "b", "b", "a"],
        "frame": ["2", "0", "0", "1", "1"],
        "record": range(5),
        "stratum": [1, 0, 1, 1, 0],
    }
)
KNOWN = {"y": np.array([[1], [0], [1], [1], [0]], np.float32)}


def test_a_volume_is_one_row_in_the_order_of_its_first_slice():
    bags = bags_of(TABLE, "mean")
    assert bags.table(TABLE)["id"].tolist() == ["b", "a"]
    assert bags.known(KNOWN)["y"].tolist() == [[1], [0]]
    assert bags.outputs({"y": np.arange(5.0)[:, None]})["y"].tolist() == [[pytest.approx(5 / 3)], [2.5]]
    assert bags.most(np.array([True, True, True, False, False])).tolist() == [True, False]
    assert TABLE["id"].iloc[bags.middle].tolist() == ["b#1", "a#1"]


def test_an_image_is_a_bag_of_itself():
    bags = bags_of(TABLE, "")
    assert bags.table(TABLE) is TABLE
    assert bags.outputs(KNOWN)["y"] is KNOWN["y"]
    assert bags.middle.tolist() == [0, 1, 2, 3, 4]
    assert bags.weights.tolist() == [1] * 5


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_every_volume_counts_the_same_in_training(class_weights):
    table = pd.concat([TABLE, TABLE.assign(volume="c", stratum=1).iloc[:1]], ignore_index=True)
    images = ImagesInMemory(np.zeros((6, 4, 4, 1), np.uint8))
    part = Pipeline(images, table.assign(record=range(6)), {"y": np.zeros((6, 1), np.float32)}, 2, pooling="mean")
    weights = pd.Series(part.weights(class_weights), dtype=float)
    assert weights.mean() == pytest.approx(1)
    of_volume = weights.groupby(table["volume"]).sum()
    assert of_volume["b"] == pytest.approx(of_volume["c"])
    of_stratum = weights.groupby(table["stratum"]).sum()
    assert of_stratum[0] / of_stratum[1] == pytest.approx(1 if class_weights == "balanced" else 1 / 2)


def test_slices_that_disagree_are_refused():
    check_known(TABLE, KNOWN, "mean", "set")
    with pytest.raises(UserError, match="set: b: its slices have different labels"):
        check_known(TABLE, {"y": np.arange(5)}, "mean", "set")
