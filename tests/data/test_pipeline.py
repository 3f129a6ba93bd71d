from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kmedtl.data import splits
from kmedtl.data.augment import PRESETS, augmentation
from kmedtl.data.manifest import UNKNOWN
from kmedtl.data.pipeline import Variation, pipelines
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.recipe import Data
from kmedtl.runs.prepare import prepare
from tests.models import labels_of


@pytest.fixture
def data(image_folder):
    found = prepare(Data(str(image_folder), patient_pattern=r"/([A-Z]+-p\d+)", size=40, channels=1), seed=0)
    table = splits.split(found.manifest, found.table, 0.2, 0.2, seed=0)
    return pipelines(found.store, table, 4, labels_of(found.manifest))


def test_images_and_labels_stay_together(data):
    train = data["train"]
    bright = np.concatenate([batch.numpy().mean((1, 2, 3)) > 128 for batch in train.images()])
    assert np.array_equal(bright, train.targets[LOGITS][:, 0] == 1)
    for images, targets, weights in train.epoch(1, Variation()):
        assert np.array_equal(images.numpy().mean((1, 2, 3)) > 128, targets[LOGITS].numpy()[:, 0] == 1)
        assert np.array_equal(weights, np.ones(len(images)))


def test_a_balanced_epoch_draws_each_class_as_often(data):
    train = data["train"]
    rare = np.flatnonzero(train.targets[LOGITS][:, 0] == 1)[1:]
    kept = [row for row in range(len(train.table)) if row not in rare]
    few = replace(
        train, table=train.table.iloc[kept].reset_index(drop=True), targets={LOGITS: train.targets[LOGITS][kept]}
    )
    batches = [targets[LOGITS].numpy()[:, 0] for _, targets, _ in few.epoch(1, Variation(), sampling="balanced")]
    found = np.concatenate(batches)
    assert len(found) == len(kept)
    assert abs(found.sum() - len(kept) / 2) <= 0.5
    rows = np.concatenate([few.rows_of_step(1, step, "balanced") for step in range(few.steps)])
    assert np.array_equal(few.targets[LOGITS][rows, 0], found)


@pytest.mark.slow
@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_an_epoch_is_a_function_of_its_seed(data, mix):
    def images(seed):
        return np.concatenate([batch.numpy() for batch, *_ in data["train"].epoch(seed, Variation("xray", mix))])

    assert np.array_equal(images(1), images(1))
    assert not np.array_equal(images(1), images(2))
    assert len(images(1)) == len(data["train"].table)


@pytest.mark.slow
@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_targets_are_mixed_as_their_images_are(data, mix):
    """Dark images are 0, bright ones 1: a mixture's brightness tells its target."""
    train = data["train"]
    plain = np.concatenate([images for images, *_ in train.varied(0, Variation(), "none")])
    dark, bright = (plain[train.targets[LOGITS][:, 0] == answer].mean() for answer in (0, 1))
    mixed = [batch for seed in range(8) for batch in train.varied(seed, Variation(mix=mix), "none")]
    shares = np.concatenate([(images.numpy().mean((1, 2, 3)) - dark) / (bright - dark) for images, *_ in mixed])
    targets = np.concatenate([targets[LOGITS][:, 0] for _, targets, _ in mixed])
    assert np.abs(shares - targets).max() < 0.15
    assert ((targets > 0.05) & (targets < 0.95)).mean() > 0.1


def test_what_is_unknown_stays_unknown_when_mixed(data):
    train = data["train"]
    targets = np.stack([train.targets[LOGITS][:, 0], np.where(np.arange(len(train.table)) % 3, 1, UNKNOWN)], axis=1)
    known = 0
    for seed in range(4):
        for _, mixed, _ in replace(train, targets={LOGITS: targets.astype("float32")}).varied(
            seed, Variation(mix="mixup"), "none"
        ):
            second = mixed[LOGITS].numpy()[:, 1]
            assert np.all((np.abs(second - 1) < 1e-5) | (second == UNKNOWN))
            known += (second > 0).sum()
    assert known > 0


def test_balanced_weights_make_the_classes_equal(data):
    train = data["train"]
    rare = train.table[(train.table["stratum"] == 0) | (train.table.index % 3 == 0)].reset_index(drop=True)
    uneven = replace(train, table=rare, targets={LOGITS: rare["label"].to_numpy("float32")[:, None]})
    weights = uneven.weights("balanced")
    assert weights.mean() == pytest.approx(1)
    assert weights[rare["label"] == 0].sum() == pytest.approx(weights[rare["label"] == 1].sum(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_balanced_weights_stay_balanced_when_mixed(data, mix):
    train = data["train"]
    rare = train.table[(train.table["stratum"] == 0) | (train.table.index % 4 == 0)].reset_index(drop=True)
    uneven = replace(train, table=rare, targets={LOGITS: rare["label"].to_numpy("float32")[:, None]})
    mass = np.zeros(2)
    for seed in range(25):
        for _, targets, weights in uneven.varied(seed, Variation(mix=mix), "balanced"):
            mass += [np.sum(weights * (1 - targets[LOGITS][:, 0])), np.sum(weights * targets[LOGITS][:, 0])]
    # Mixed separately, targets and weights would leave the rare class 0.46 (MixUp) and 0.40 (CutMix).
    assert mass[1] / mass.sum() == pytest.approx(0.5, abs={"mixup": 0.03, "cutmix": 0.06}[mix])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_vary_images_and_keep_their_range(preset, channels):
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, channels)).astype("float32")
    varied = images
    for layer in augmentation(preset, channels, seed=1):
        varied = layer(varied, training=True)
    varied = np.asarray(varied)
    assert varied.shape == images.shape
    assert varied.min() >= -1e-3
    assert varied.max() <= 255.001
    assert np.array_equal(varied, images) == (preset == "none")


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["xray", "xray_strong", "ultrasound", "retina", "mri"])
def test_where_up_matters_nothing_is_turned_upside_down(preset):
    image = np.zeros((1, 64, 64, 3), "float32")
    image[:, :32] = 200
    for seed in range(30):
        varied = image
        for layer in augmentation(preset, 3, seed):
            varied = layer(varied, training=True)
        assert np.mean(varied[:, :32]) > np.mean(varied[:, 32:])


def test_stains_vary_in_density_and_white_stays_white():
    image = np.full((1, 8, 8, 3), 255, "float32")
    image[:, :4] = (150, 90, 160)
    layer = augmentation("histology", 3, seed=0)[2]
    varied = [np.asarray(layer(image, training=True)) for _ in range(20)]
    assert np.std([part[0, 0, 0] for part in varied], axis=0).min() > 1
    assert min(part[0, 7].min() for part in varied) > 240
    assert np.array_equal(layer(image, training=False), image)


def test_a_sample_is_stratified(data):
    train = data["train"]
    sample, _ = train.sample(8, seed=0)
    assert sample.dtype == np.uint8
    assert len(sample) == pytest.approx(8, abs=2)
    bright = (sample.mean((1, 2, 3)) > 128).mean()
    assert bright == pytest.approx(train.targets[LOGITS].mean(), abs=0.2)


def test_predictions_keep_the_tables_order(data):
    table = pd.concat([part.table for part in data.values()])
    assert table["id"].is_unique
    for part in data.values():
        assert part.table["record"].is_monotonic_increasing
        assert len(part.pixels()) == len(part.table)
