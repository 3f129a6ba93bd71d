from dataclasses import replace

import numpy as np
import pytest

from kmedtl.data import splits
from kmedtl.data.corruptions import suite
from kmedtl.data.manifest import UNKNOWN
from kmedtl.data.pipeline import Variation, pipelines
from kmedtl.finetune.shifted_validation import shifted, worst_auc
from kmedtl.recipe import Data
from kmedtl.runs.prepare import prepare


@pytest.fixture
def validation(image_folder):
    found = prepare(Data(str(image_folder), patient_pattern=r"/([A-Z]+-p\d+)", size=64, channels=1), seed=0)
    table = splits.split(found.manifest, found.table, 0.5, 0.2, seed=0)
    return pipelines(found.store, found.manifest, table, batch_size=4)["val"]


def test_a_sample_of_whole_patients_goes_through_every_corruption(validation):
    sample = shifted(validation, seed=0, images=4)
    parts = dict(tuple(sample.table.groupby("corruption")))
    assert set(parts) == set(suite())
    assert set(validation.table) < set(sample.table)
    for part in parts.values():
        assert list(part["id"]) == list(parts["noise"]["id"])
        assert set(part["label"]) == {0, 1}
        whole = validation.table[validation.table["patient"].isin(part["patient"])]
        assert set(whole["id"]) == set(part["id"])
    assert len(parts["noise"]) < len(validation.table)


def test_the_sample_is_a_pipeline_like_any_other(validation):
    sample = shifted(validation, seed=0)
    pixels = sample.pixels()
    assert pixels.dtype == np.uint8
    assert np.array_equal(np.concatenate(list(sample.images())), pixels)
    batches = list(sample.varied(0, Variation(), "none"))
    assert len(batches) == sample.steps
    assert np.array_equal(np.concatenate([targets for _, targets, _ in batches]), sample.targets)
    assert np.array_equal(sample.targets[:, 0], sample.table["label"])
    assert np.array_equal(pixels, shifted(validation, seed=0).pixels())
    clean = dict(zip(validation.table["id"], validation.pixels(), strict=True))
    for name, rows in sample.table.groupby("corruption").indices.items():
        own = np.stack([clean[name] for name in sample.table["id"].iloc[rows]])
        assert (own != pixels[rows]).any() or name == "polarity"  # which befalls one image in ten


def test_the_worst_corruption_counts(validation):
    sample = shifted(validation, seed=0)
    labels = sample.table["label"].to_numpy()
    logits = np.where(sample.table["corruption"] == "blur", 0, labels)[:, None].astype(float)
    assert worst_auc(sample, logits) == 0.5
    unknown = np.where((sample.table["corruption"] == "blur").to_numpy()[:, None], UNKNOWN, sample.targets)
    two = replace(sample, targets=np.hstack([unknown, sample.targets]))
    assert worst_auc(two, np.hstack([logits, labels[:, None]])) == 1
