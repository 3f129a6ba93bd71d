from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kmedtl.data import sources, splits, store
from kmedtl.data.audit import audit
from kmedtl.data.pipeline import pipelines
from kmedtl.data.read_image import read_image
from kmedtl.errors import UserError
from kmedtl.recipe import Data


@pytest.fixture
def manifest(image_folder):
    return sources.load(Data(str(image_folder), patient_pattern=r"^([A-Z]+-p\d+)"), seed=0)


def test_the_store_holds_what_read_image_returns(manifest):
    images = store.prepare(manifest.table, 40, 1)
    path_of = manifest.table.set_index("id")["path"]
    assert images.count == len(manifest.table)
    for name, pixels in zip(images.facts["id"], images.images().as_numpy_iterator(), strict=True):
        assert np.array_equal(pixels, read_image(path_of[name], 40, 1).pixels)


def test_a_second_run_decodes_nothing_and_a_changed_file_is_noticed(manifest, cache):
    first = store.prepare(manifest.table, 40, 1)
    folder = Path(first.builder.data_path)
    stamps = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    again = store.prepare(manifest.table, 40, 1)
    assert {file: file.stat().st_mtime_ns for file in Path(again.builder.data_path).iterdir()} == stamps
    changed = manifest.table["path"][0]
    with open(manifest.table["path"][1], "rb") as other, open(changed, "wb") as file:
        file.write(other.read())
    assert store.prepare(manifest.table, 40, 1).builder.data_path != first.builder.data_path


def test_unreadable_files_are_counted_and_refused_beyond_the_limit(manifest):
    broken = manifest.table["path"][0]
    with open(broken, "wb"):
        pass
    images = store.prepare(manifest.table, 40, 1)
    with pytest.raises(UserError, match="1 of 24 images are unreadable, allowed are 0"):
        audit(manifest, images.facts, max_unreadable=0.01)
    findings, table = audit(manifest, images.facts, max_unreadable=0.1)
    assert findings.unreadable == {manifest.table["id"][0]: "the file is empty (0 bytes)"}
    assert findings.used + len(findings.unreadable) == findings.listed == 24
    assert len(table) == 23
    pixels = dict(zip(images.facts["record"], images.facts["id"], strict=True))
    assert all(pixels[record] == name for record, name in zip(table["record"], table["id"], strict=True))


def test_copies_and_contradictions_are_found(manifest):
    table = manifest.table
    normal, copy = table["path"][0], table["path"][2]
    pneumonia = table.loc[table["label"] == 1, "path"].iloc[0]
    for target in (copy, pneumonia):
        Path(target).write_bytes(Path(normal).read_bytes())
    findings, _ = audit(manifest, store.prepare(table, 40, 1).facts, 0)
    expected = tuple(table.loc[table["path"].isin([normal, copy, pneumonia]), "id"])
    assert findings.duplicates == (expected,)
    assert findings.conflicts == (expected,)
    assert any("two labels" in warning for warning in findings.warnings)


@pytest.fixture
def data(manifest):
    images = store.prepare(manifest.table, 40, 1)
    _, table = audit(manifest, images.facts, 0)
    return pipelines(images, splits.split(table, manifest.classes, 0.2, 0.2, seed=0), batch_size=4)


def test_images_and_labels_stay_together(data):
    train = data["train"]
    bright = np.concatenate([batch.numpy().mean((1, 2, 3)) > 128 for batch in train.images()])
    assert np.array_equal(bright, train.labels == 1)
    for images, labels in train.epoch(seed=1, augment="none"):
        assert np.array_equal(images.numpy().mean((1, 2, 3)) > 128, labels.numpy() == 1)


def test_an_epoch_is_a_function_of_its_seed(data):
    def images(seed):
        return np.concatenate([batch.numpy() for batch, _ in data["train"].epoch(seed, "xray")])

    assert np.array_equal(images(1), images(1))
    assert not np.array_equal(images(1), images(2))
    assert len(images(1)) == len(data["train"].table)


def test_a_sample_is_stratified(data):
    train = data["train"]
    sample = train.sample(8, seed=0)
    assert sample.dtype == np.uint8
    assert len(sample) == pytest.approx(8, abs=2)
    bright = (sample.mean((1, 2, 3)) > 128).mean()
    assert bright == pytest.approx(np.mean(train.labels), abs=0.2)


def test_predictions_keep_the_tables_order(data):
    table = pd.concat([part.table for part in data.values()])
    assert table["id"].is_unique
    for part in data.values():
        assert part.table["record"].is_monotonic_increasing
        assert len(part.pixels()) == len(part.table)
