"""Images packed in one file (.npz) or in a data set of TensorFlow Datasets."""

import socket
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from kmedtl.data import sources
from kmedtl.errors import UserError
from kmedtl.recipe import Data


def arrays(channels=(), findings=1, **changes):
    random = np.random.default_rng(0)
    content = {}
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        content[f"{split}_images"] = random.integers(0, 255, (count, 28, 28, *channels), dtype=np.uint8)
        content[f"{split}_labels"] = (np.arange(count * findings) % 2).reshape(count, findings).astype(np.uint8)
    return {name: value for name, value in (content | changes).items() if value is not None}


@pytest.mark.parametrize("channels", [(), (3,)])
def test_medmnist_keeps_splits_labels_and_pixels(tmp_path, channels):
    content = arrays(channels)
    np.savez(tmp_path / "set.npz", **content)
    found = sources.load(Data(str(tmp_path / "set.npz"), classes=("NORMAL", "PNEUMONIA")), seed=0)
    table = found.table.set_index("id")
    assert dict(found.table["split"].value_counts()) == {"train": 12, "val": 4, "test": 4}
    assert list(table.loc[[f"train/{number}" for number in range(4)], "label"]) == [0, 1, 0, 1]
    assert np.array_equal(np.asarray(Image.open(table["path"]["test/2"])), content["test_images"][2])
    assert not found.patients_known


def test_medmnist_with_several_findings(tmp_path):
    content = arrays(findings=3)
    np.savez(tmp_path / "set.npz", **content)
    found = sources.load(Data(str(tmp_path / "set.npz"), classes=("a", "b", "c")), seed=0)
    assert found.multi_label
    rows = found.table[found.table["split"] == "train"]
    assert np.array_equal(found.targets(rows), content["train_labels"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"x": np.zeros(3)}, "expected MedMNIST's layout"),
        (arrays(train_images=None), "the split 'train' has no train_images"),
        (arrays(train_images=np.full((12, 28, 28), 2.0)), r"floats from 0 to 1, .* Received: float64 from 0 to 2"),
        (arrays(train_images=np.zeros((5, 28, 28), np.uint8)), "5 train_images, but 12 train_labels"),
        (arrays(train_labels=np.array([{}] * 12)), "cannot be read as .npz"),
    ],
)
def test_another_layout_is_refused(tmp_path, content, words):
    np.savez(tmp_path / "set.npz", **content)
    with pytest.raises(UserError, match=words):
        sources.load(Data(str(tmp_path / "set.npz")), seed=0)


@pytest.mark.parametrize(("x", "y"), [("train_images", "train_labels"), ("x_train", "y_train")])
def test_arrays_of_other_forms_are_read(tmp_path, x, y):
    content = arrays()
    gray = content["train_images"]
    forms = {
        "depth": gray[..., None],
        "share": (gray / 255).astype(np.float32),
        "deep": gray.astype(np.uint16) * 16,
        "big": gray.astype(">u2"),
    }
    for form, images in forms.items():
        one_hot = np.eye(2, dtype=np.uint8)[content["train_labels"][:, 0]]
        np.savez_compressed(tmp_path / f"{form}.npz", **{x: images, y: one_hot})
        found = sources.load(Data(str(tmp_path / f"{form}.npz"), patient_pattern=r"person(\d+)"), seed=0)
        assert found.classes == ("0", "1")
        assert list(found.table["label"]) == list(content["train_labels"][:, 0])
        pixels = [np.asarray(Image.open(path)) for path in found.table["path"]]
        assert np.array_equal(pixels, gray.astype(int) * (16 if form == "deep" else 1))
        assert "Labels are one-hot: 2 classes of one question." in found.notes
        assert ("Images are floats from 0 to 1; they were multiplied by 255." in found.notes) == (form == "share")


def test_an_array_that_says_it_is_huge_takes_no_room(tmp_path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (20000000, 1000), }"
    head = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("train_labels.npy", head)
        archive.writestr("train_images.npy", head)
    with pytest.raises(
        UserError, match=r"train_labels: says that it holds uint8 .*20000000000 bytes; expected as many"
    ):
        sources.load(Data(str(tmp_path / "a.npz")), seed=0)


class TinyFilms(tfds.core.GeneratorBasedBuilder):
    """A data set as the catalogue has them, so small that it can be made here."""

    VERSION = tfds.core.Version("1.2.0")

    def __init__(self, *, brightness=10, **kwargs):
        self.brightness = brightness
        super().__init__(**kwargs)

    def _info(self):
        image = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
        label = tfds.features.ClassLabel(names=["NORMAL", "PNEUMONIA"])
        features = {"image": image, "label": label, "patient": tfds.features.Text()}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(12), "validation": self._generate_examples(4)}

    def _generate_examples(self, count):
        for number in range(count):
            pixels = np.full((30, 30, 1), self.brightness * number, np.uint8)
            yield number, {"image": pixels, "label": number % 2, "patient": f"{count}-{number // 2}"}


def test_a_prepared_tfds_set_keeps_splits_and_patients(tmp_path, monkeypatch):
    builder = TinyFilms(data_dir=tmp_path)
    builder.download_and_prepare()
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    found = sources.load(Data("tfds:tiny_films"), seed=0)
    assert found.classes == ("NORMAL", "PNEUMONIA")
    assert dict(found.table["split"].value_counts()) == {"train": 12, "val": 4}
    assert found.table["patient"].nunique() == 8
    dark = found.table["label"] == (found.table["path"].map(lambda path: np.asarray(Image.open(path)).mean()) / 10 % 2)
    assert dark.all()


def test_an_unknown_set_is_refused():
    words = r"tfds:pneumonia_minst: no such data set.*Did you mean 'pneumonia_mnist'"
    with pytest.raises(UserError, match=words):
        sources.load(Data("tfds:pneumonia_minst"), seed=0)


def test_without_internet_a_set_fails_at_once(monkeypatch, tmp_path):
    def no_address(*_):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"tfds:pneumonia_mnist: cannot be downloaded .*TFDS_DATA_DIR"):
        sources.load(Data("tfds:pneumonia_mnist"), seed=0)


@pytest.mark.real_data
def test_real_medmnist(real_data):
    found = sources.load(Data(str(real_data / "pneumoniamnist_trainval.npz"), classes=("NORMAL", "PNEUMONIA")), seed=0)
    assert dict(found.table["split"].value_counts()) == {"train": 4708, "val": 524}
