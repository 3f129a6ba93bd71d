from dataclasses import replace

import numpy as np
import pytest

from kmedtl.data import splits
from kmedtl.data.corruptions import suite
from kmedtl.data.manifest import UNKNOWN
from kmedtl.data.pipeline import Variation, pipelines
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.finetune.epoch_score import validation_metrics
from kmedtl.finetune.shifted_validation import corrupted_rows, shifted
from kmedtl.recipe import Data, Training
from kmedtl.runs.prepare import prepare
from tests.finetune.conftest import tiny_model
from tests.models import job_of, labels_of


@pytest.fixture
def validation(image_folder):
    found = prepare(Data(str(image_folder), patient_pattern=r"/([A-Z]+-p\d+)", size=64, channels=1), seed=0)
    table = splits.split(found.manifest, found.table, 0.5, 0.2, seed=0)
    return pipelines(found.store, table, 4, labels_of(found.manifest))["val"]


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
    assert np.array_equal(np.concatenate([targets[LOGITS] for _, targets, _ in batches]), sample.targets[LOGITS])
    assert np.array_equal(sample.targets[LOGITS][:, 0], sample.table["label"])
    assert np.array_equal(pixels, shifted(validation, seed=0).pixels())
    clean = dict(zip(validation.table["id"], validation.pixels(), strict=True))
    for name, rows in sample.table.groupby("corruption").indices.items():
        own = np.stack([clean[name] for name in sample.table["id"].iloc[rows]])
        assert (own != pixels[rows]).any() or name == "polarity"  # which befalls one image in ten


@pytest.mark.slow
def test_the_worst_corruption_counts(validation):
    sample = shifted(validation, seed=0)
    labels = sample.table["label"].to_numpy()
    assert sorted(np.concatenate(corrupted_rows(sample))) == list(range(len(labels)))
    logits = np.where(sample.table["corruption"] == "blur", 0, labels)[:, None].astype(float)
    assert worst(sample, logits) == 0.5
    truth = sample.targets[LOGITS]
    unknown = np.where((sample.table["corruption"] == "blur").to_numpy()[:, None], UNKNOWN, truth)
    two = replace(sample, targets={LOGITS: np.hstack([unknown, truth])})
    assert worst(two, np.hstack([logits, labels[:, None]])) == 1


def worst(sample, logits):
    """Return what `training.select=worst_shift` chooses an epoch by."""
    model = tiny_model(logits.shape[1])
    job = job_of(model, (), {"val": sample, "shift": sample}, "none", Training(select="worst_shift"))
    outputs = {LOGITS: logits.astype(np.float32)}
    return validation_metrics(job, {"val": outputs, "shift": outputs})["score"]
