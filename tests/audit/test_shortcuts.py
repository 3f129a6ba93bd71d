"""Planted shortcuts are found; without one, the interval includes chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kmedtl.audit.shortcuts import file_properties, frame, readability, readability_of_each


def study(images: int = 300, size: int = 64, channels: int = 1, seed: int = 0):
    """Return noise images, random labels and patients of two images each."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 200, (images, size, size, channels), dtype=np.uint8)
    patients = np.array([f"p{row // 2}" for row in range(images)])
    return pixels, np.repeat(random.random(images // 2) < 0.4, 2), patients


def mark_corner(images, positive):
    images[positive, 2:6, 2:8] = 255


def gray_border(images, positive):
    images[:, :2] = images[:, -2:] = 20
    images[positive, :2] = images[positive, -2:] = 30


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("plant", [mark_corner, gray_border])
def test_a_planted_frame_is_found(plant, channels):
    images, positive, patients = study(channels=channels)
    plant(images, positive)
    assert readability(frame(images), positive, patients, seed=0).low > 0.93


def test_the_frame_knows_nothing_of_the_interior():
    images, _, _ = study(images=4)
    other = images.copy()
    other[:, 8:-8, 8:-8] = 0
    np.testing.assert_array_equal(frame(images), frame(other))


@pytest.mark.parametrize(("size", "channels"), [(32, 1), (45, 3), (224, 1)])
def test_frame_has_one_row_an_image_at_any_size(size, channels):
    features = frame(study(images=4, size=size, channels=channels)[0])
    assert features.shape == (4, 76 * channels + 8)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


@pytest.mark.slow
def test_random_labels_rarely_alarm():
    alarms = 0
    for seed in range(20):
        images, positive, patients = study(seed=seed)
        alarms += readability(frame(images), positive, patients, seed).low > 0.5
    assert alarms <= 2


def test_identical_images_carry_nothing():
    _, positive, patients = study()
    auc = readability(frame(np.full((300, 32, 32, 1), 7, np.uint8)), positive, patients, seed=0)
    assert auc.low <= 0.5 <= auc.high or auc.value < 0.5


def facts(positive, width, height=100, mode="L", bits=8):
    return pd.DataFrame({"width": width, "height": height, "mode": mode, "bits": bits}, index=range(len(positive)))


@pytest.mark.parametrize(
    "columns",
    [
        lambda positive: {"width": np.where(positive, 120, 100)},
        lambda positive: {"width": np.where(positive, 100, np.where(np.arange(len(positive)) % 2, 50, 150))},
        lambda positive: {"width": 100, "mode": np.where(positive, "RGB", "L")},
        lambda positive: {"width": 100, "bits": np.where(positive, 16, 8)},
    ],
    ids=["wider", "size in between", "mode", "bits"],
)
def test_a_property_of_the_files_is_found(columns):
    _, positive, patients = study()
    auc = readability(file_properties(facts(positive, **columns(positive))), positive, patients, seed=0)
    assert auc.low > 0.93


def test_equal_files_carry_nothing():
    _, positive, patients = study()
    auc = readability(file_properties(facts(positive, width=100)), positive, patients, seed=0)
    assert auc.low <= 0.5


def test_too_few_patients_cannot_be_measured():
    positive = np.array([True] * 8 + [False] * 20)
    patients = [f"p{row // 2}" for row in range(28)]  # four positive patients
    features = np.random.default_rng(0).normal(size=(28, 3))
    assert readability(features, positive, patients, seed=0) is None
    assert readability(features, positive, [f"p{row}" for row in range(28)], seed=0) is not None


def test_a_patient_is_never_recognised():
    """A feature that names the patient tells nothing of another's label."""
    aucs = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        patient = np.repeat(np.arange(60), 5)
        features, label = random.normal(size=(60, 20))[patient], (random.random(60) < 0.5)[patient]
        aucs.append(readability(features, label, patient.astype(str), seed).value)
    assert np.mean(aucs) < 0.6


def test_patients_of_both_classes_do_not_leave_a_fold_without_one():
    positive = np.tile([True, False], 6)
    patients = np.repeat([f"p{row}" for row in range(6)], 2)
    assert readability(positive[:, None].astype(float), positive, patients, seed=0).value == 1


def test_several_findings_at_once_are_read_as_well_as_one_by_one():
    random = np.random.default_rng(11)
    label, patient = random.integers(0, 4, 400), np.arange(400) // 2
    features = random.normal(size=(400, 40)) + 0.5 * (label == 2)[:, None] * (np.arange(40) < 6)
    targets = (label[:, None] == np.arange(4)).astype(int)
    for column, auc in enumerate(readability_of_each(features, targets, patient.astype(str), seed=0)):
        alone = readability(features, targets[:, column] == 1, patient.astype(str), seed=0)
        assert auc.value == pytest.approx(alone.value, abs=0.07)


def test_of_several_findings_the_unknown_neither_teach_nor_count():
    random = np.random.default_rng(12)
    targets = random.integers(0, 2, (300, 2))
    features, patients = targets + random.normal(0, 0.5, (300, 2)), np.arange(300).astype(str)
    hidden = np.where(np.arange(300)[:, None] < 200, targets, [[-1, 1]])
    known, _ = readability_of_each(features, hidden, patients, seed=0)
    assert known.value > 0.85
    assert readability_of_each(features, np.where(np.arange(300)[:, None] < 4, targets, -1), patients, 0) == [None] * 2
