"""The synthetic thorax: reproducible, consistent with itself, free of shortcuts, neither trivial nor hopeless."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kmedtl.data.phantom import LABELS, films, films_of

PATIENTS, SEED, SIZE = 300, 5, 64


@pytest.fixture(scope="module")
def population():
    return list(films(PATIENTS, SEED, SIZE))


def column(population, name):
    return np.array([getattr(film, name) for film in population])


def auc(values, population):
    """Fit a linear classifier on 60 % of the patients and return its AUC on the others."""
    ill = column(population, "label") == "PNEUMONIA"
    number = np.array([int(film.patient[1:]) for film in population])
    test = number >= 0.6 * (number.max() + 1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=2000))
    model.fit(values[~test], ill[~test])
    return roc_auc_score(ill[test], model.decision_function(values[test]))


def test_a_film_depends_on_seed_and_patient_only(population):
    again = [film for number in (3, 17) for film in films_of(number, SEED, SIZE)]
    for film in again:
        first = next(f for f in population if f.id == film.id)
        assert film.image.tobytes() == first.image.tobytes()
        assert film.mask.tobytes() == first.mask.tobytes()
        assert (film.label, film.age, film.area) == (first.label, first.age, first.area)


def test_fewer_patients_are_the_same_first_patients(population):
    few = list(films(4, SEED, SIZE))
    assert [film.id for film in few] == [film.id for film in population[: len(few)]]
    assert few[-1].image.tobytes() == population[len(few) - 1].image.tobytes()


def test_another_seed_gives_other_films(population):
    assert next(films(1, SEED + 1, SIZE)).image.tobytes() != population[0].image.tobytes()


def test_films_are_what_they_say(population):
    for film in population:
        assert film.image.shape == film.mask.shape == film.lung.shape == (SIZE, SIZE)
        assert film.image.dtype == film.mask.dtype == film.lung.dtype == np.uint8
        assert set(np.unique(film.mask)) <= {0, 255}
        assert film.label in LABELS
        assert film.scanner in ("A", "B")
        assert film.sex in ("F", "M")
        assert 1 <= film.age <= 90


def test_normal_means_no_lesion_at_all(population):
    for film in population:
        facts = {film.mask.any(), film.area > 0, film.side != "none", film.pattern != "none"}
        assert facts == {film.label == "PNEUMONIA"}, film.id


def test_area_is_the_masks_share_of_the_lung(population):
    for film in population:
        assert not np.any(film.mask & ~film.lung)
        assert film.area == pytest.approx(film.mask.astype(bool).sum() / film.lung.astype(bool).sum())


def test_the_mask_lies_on_the_stated_side(population):
    for film in (f for f in population if f.side != "none"):
        columns = np.arange(SIZE)
        middle = np.average(columns, weights=film.lung.sum(0))
        on_left = film.mask[:, columns > middle].astype(bool).sum() / film.mask.astype(bool).sum()
        # The patient's left is on the right of the film.
        low, high = {"left": (0.95, 1), "right": (0, 0.05), "both": (0.02, 0.98)}[film.side]
        assert low <= on_left <= high, (film.id, film.side, on_left)


def test_lesions_are_brighter_than_the_same_lung_without(population):
    """On average: single films may hide a lesion behind a rib or in noise, which is what makes them hard."""
    ill = [f for f in population if f.side in ("left", "right")]
    gains = []
    for film in ill:
        lesion = film.mask > 0
        other = lesion[:, ::-1] & (film.lung > 0) & ~lesion
        if other.any():
            gains.append(film.image[lesion].mean() - film.image[other].mean())
    assert np.mean(gains) > 10


def test_patients_have_one_to_three_films_of_one_person(population):
    by_patient = defaultdict(list)
    for film in population:
        by_patient[film.patient].append(film)
    assert len(by_patient) == PATIENTS
    assert {len(taken) for taken in by_patient.values()} == {1, 2, 3}
    for taken in by_patient.values():
        assert len({(f.label, f.side, f.pattern, f.scanner, f.age, f.sex) for f in taken}) == 1
        assert len({f.image.tobytes() for f in taken}) == len(taken)


@pytest.mark.parametrize("name", ["label", "scanner", "sex"])
def test_both_values_are_common(population, name):
    _, counts = np.unique(column(population, name), return_counts=True)
    assert len(counts) == 2
    assert counts.min() > 0.3 * len(population)


def test_every_side_and_pattern_occurs(population):
    assert set(column(population, "side")) == {"none", "left", "right", "both"}
    assert set(column(population, "pattern")) == {"none", "lobar", "patchy"}


def test_grey_values_fill_the_range(population):
    for film in population:
        low, high = np.percentile(film.image, [2, 98])
        assert high - low > 100, film.id
        assert len(np.unique(film.image)) > 100, film.id
        inside = film.image[film.lung > 0]
        assert np.mean((inside == 0) | (inside == 255)) < 0.25, film.id


def test_the_scanner_can_be_read_from_the_image(population):
    """Sharp edges and noise differ by detector; that is what makes scanner B a shift for a model of A."""
    detail = defaultdict(list)
    for film in population:
        grey = film.image.astype(float)
        histogram = np.percentile(grey[film.lung > 0], [5, 50, 95])
        detail[film.scanner].append([np.abs(np.diff(grey, axis=1)).mean(), *histogram])
    a, b = np.array(detail["A"]), np.array(detail["B"])
    gap = np.abs(a.mean(0) - b.mean(0)) / np.sqrt((a.var(0) + b.var(0)) / 2)
    assert gap.max() > 1


def test_the_label_cannot_be_read_from_scanner_age_or_sex(population):
    facts = np.array([[f.scanner == "A", f.age, f.sex == "M"] for f in population], float)
    assert abs(auc(facts, population) - 0.5) < 0.12


def test_the_label_cannot_be_read_from_the_frame(population):
    edges = [(f.image[:3], f.image[-3:], f.image[:, :3], f.image[:, -3:]) for f in population]
    frames = np.array([np.concatenate([edge.ravel() for edge in four]) for four in edges], float)
    assert abs(auc(frames, population) - 0.5) < 0.12


def test_rendering_needs_no_tensorflow():
    code = "import sys, kmedtl.data.phantom as p; next(p.films(1, 0, 32)); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_builder_stores_what_the_renderer_renders(tmp_path):
    from kmedtl.data.phantom.builder import PhantomConfig, PhantomThorax

    builder = PhantomThorax(config=PhantomConfig(patients=6, seed=SEED, size=SIZE), data_dir=tmp_path)
    builder.download_and_prepare()
    assert "SYNTHETIC" in builder.info.description
    stored = list(builder.as_dataset(split="films", shuffle_files=False).as_numpy_iterator())
    rendered = list(films(6, SEED, SIZE))
    assert len(stored) == len(rendered)
    for example, film in zip(stored, rendered, strict=True):
        assert np.array_equal(example["image"][..., 0], film.image)
        assert np.array_equal(example["mask"][..., 0], film.mask)
        assert np.array_equal(example["lung"][..., 0], film.lung)
        assert LABELS[example["label"]] == film.label
        assert example["area"] == pytest.approx(film.area)
        assert example["age"] == film.age
        for name in ("id", "patient", "side", "pattern", "scanner", "sex"):
            assert example[name].decode() == getattr(film, name)


def test_the_source_lays_out_images_with_the_masks_of_lesion_and_lung(cache):
    from kmedtl.data import sources
    from kmedtl.recipe import Data

    table = sources.load(Data("phantom:6"), seed=SEED).table
    for row, film in zip(table.to_dict("records"), films(6, SEED), strict=True):
        paths = (row["path"], *row["mask"].split("|"))
        assert [Path(path).name for path in paths] == [f"{film.id}{end}.png" for end in ("", "_mask", "_lung")]
        for path, pixels in zip(paths, (film.image, film.mask, film.lung), strict=True):
            assert np.array_equal(np.asarray(Image.open(path)), pixels)


@pytest.mark.slow
def test_frozen_imagenet_features_find_pneumonia_but_not_always():
    import keras

    from kmedtl.backbones.build import build_features

    image = keras.Input((224, 224, 1), name="image")
    features = keras.layers.GlobalAveragePooling2D()(build_features(image, "EfficientNetLite0"))
    population = list(films(400, 0, 224))
    pixels = np.stack([film.image for film in population])[..., None]
    values = keras.Model(image, features).predict(pixels, batch_size=32, verbose=0)
    assert 0.80 < auc(values, population) < 0.97
