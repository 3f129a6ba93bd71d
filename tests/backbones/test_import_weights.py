"""Weights of torch and Keras become a backbone's, exactly, or are refused by name in one line."""

from __future__ import annotations

import hashlib
import json
import re

import h5py
import keras
import numpy as np
import pytest

from kmedtl.backbones import registry
from kmedtl.backbones.build import build_backbone, build_features, check_backbone
from kmedtl.backbones.efficientnet_lite import reference_names
from kmedtl.backbones.import_weights import Statement, import_weights
from kmedtl.backbones.readers.legacy_torch import read_state_dict
from kmedtl.backbones.weights_card import read_card
from kmedtl.data.phantom import films
from kmedtl.errors import UserError
from tests.backbones import foreign_files as foreign
from tests.data.test_phantom import auc

SLOW = pytest.mark.slow
SAID = Statement(licence="Apache-2.0")
LITE = "EfficientNetLite0"


def original(name, size=64, seed=1):
    """A backbone on normalised images, with statistics of BatchNorm that matter."""
    keras.utils.set_random_seed(seed)
    return foreign.randomised(build_backbone(registry.get(name), keras.Input((size, size, 3))), seed)


def features(name, weights, size=64, channels=3):
    image = keras.Input((size, size, channels), name="image")
    return keras.Model(image, build_features(image, name, str(weights)))


def lite_name(layer):
    stem, _, kind = layer.rpartition("_")
    return reference_names(1.0, 1.0)[stem][("conv", "bn").index(kind)]


def pixels(size=64, channels=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, size, size, channels)).astype("f4")


def assert_alike(received, expected):
    """Alike to 1e-4 of the largest value: random weights make features of any size."""
    received, expected = np.asarray(received), np.asarray(expected)
    np.testing.assert_allclose(received, expected, atol=1e-4 * max(1.0, np.abs(expected).max()))


@pytest.fixture(scope="module")
def lite():
    return original(LITE)


@pytest.fixture(scope="module")
def lite_tensors(lite):
    return foreign.state_dict_of(lite, lite_name, epsilon=1e-3) | foreign.head("_fc", 1280)


WRITERS = {
    "w.safetensors": foreign.write_safetensors,
    "w.pth": foreign.write_torch,
    "w.pt": foreign.write_legacy_torch,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["w.safetensors", pytest.param("w.pth", marks=SLOW), pytest.param("w.pt", marks=SLOW)])
def test_a_state_dict_becomes_the_backbone(name, lite, lite_tensors, tmp_path):
    path = WRITERS[name](tmp_path / name, lite_tensors)
    card = import_weights(path, LITE, SAID, tmp_path / "own.weights.h5")
    assert card.left_out == ("_fc.weight", "_fc.bias")
    assert card.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_card(tmp_path / "own.weights.h5") == card
    image = pixels()
    assert_alike(features(LITE, tmp_path / "own.weights.h5")(image), lite((image - 127) / 128))
    assert check_backbone(LITE, str(tmp_path / "own.weights.h5"), "", 64, 3)


@pytest.mark.slow
def test_densenet_of_one_channel_and_its_own_range(tmp_path):
    """As torchxrayvision's: one channel, −1024 to 1024, `op_threshs` beside the classifier."""
    keras_model = original("DenseNet121")
    tensors = foreign.state_dict_of(keras_model, foreign.densenet_name, "module.features.")
    stem = tensors["module.features.conv0.weight"]
    tensors["module.features.conv0.weight"] = stem.sum(1, keepdims=True)
    extra = foreign.head("module.classifier", 1024, 18) | {"op_threshs": np.ones(18, "f4")}
    path = foreign.write_safetensors(tmp_path / "xrv.safetensors", tensors | extra)
    with pytest.raises(UserError, match=r"takes one channel.*--input-range=-1,1"):
        import_weights(path, "DenseNet121", SAID, tmp_path / "own.weights.h5")
    said = Statement("Apache-2.0", input_range=(-1024.0, 1024.0), trained_on=("NIH",))
    card = import_weights(path, "DenseNet121", said, tmp_path / "own.weights.h5")
    assert [text.partition(":")[0] for text in card.adaptations] == [
        "the first convolution takes one channel",
        "BatchNorm with another epsilon than 1e-05",
    ]
    gray = pixels(channels=1)
    expected = keras_model(np.repeat(gray / 255 * 2048 - 1024, 3, axis=-1))
    assert_alike(features("DenseNet121", tmp_path / "own.weights.h5", channels=1)(gray), expected)


@pytest.mark.slow
@pytest.mark.parametrize("sequential", [False, True])
def test_resnet_says_where_it_differs(sequential, tmp_path):
    """In a checkpoint, by torchvision's names or by those of a Sequential of its parts."""
    keras_model = original("ResNet50")
    parts = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}

    def name_of(layer):
        first, _, rest = foreign.resnet_name(layer).partition(".")
        return ".".join(filter(None, (parts[first] if sequential else first, rest)))

    tensors = foreign.state_dict_of(keras_model, name_of, "backbone.") | foreign.head("fc", 2048)
    path = foreign.write_torch(tmp_path / "r.pt", tensors, lambda state: {"epoch": 3, "state_dict": state})
    said = Statement("none stated", input_range=(-1.0, 1.0))
    card = import_weights(path, "ResNet50", said, tmp_path / "own.weights.h5")
    assert any("has the stride" in text for text in card.adaptations)
    assert any("bias" in text for text in card.adaptations)
    image = pixels()
    assert_alike(features("ResNet50", tmp_path / "own.weights.h5")(image), keras_model(image / 127.5 - 1))


@SLOW
def test_mobilenet_with_another_epsilon_and_order_of_channels(tmp_path):
    keras_model = original("MobileNetV2_035")
    tensors = foreign.state_dict_of(keras_model, foreign.mobilenet_name, "features.")
    half = {name: tensor.astype("f8") for name, tensor in tensors.items()}
    path = foreign.write_torch(tmp_path / "m.pth", half | foreign.head("classifier.1", 1280))
    said = Statement("MIT", input_range="imagenet", channel_order="bgr")
    card = import_weights(path, "MobileNetV2_035", said, tmp_path / "own.weights.h5")
    assert any("pad" in text for text in card.adaptations)
    image = pixels()
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = keras_model(((image / 255 - mean) / std)[..., ::-1])
    assert_alike(features("MobileNetV2_035", tmp_path / "own.weights.h5")(image), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["k.weights.h5", pytest.param("k.keras", marks=SLOW), pytest.param("k.h5", marks=SLOW)]
)
def test_files_of_keras_are_taken_and_their_head_left_out(name, lite, tmp_path):
    pooled = keras.layers.GlobalAveragePooling2D()(lite.output)
    whole = keras.Model(lite.input, keras.layers.Dense(3, name="answers")(pooled))
    whole.save(tmp_path / name) if name != "k.weights.h5" else whole.save_weights(tmp_path / name)
    card = import_weights(tmp_path / name, LITE, SAID, tmp_path / "own.weights.h5")
    assert len(card.left_out) == 1
    image = pixels()
    assert_alike(features(LITE, tmp_path / "own.weights.h5")(image), lite((image - 127) / 128))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet50", "InceptionV3"])
def test_files_of_keras_in_the_layout_of_radimagenet(name, tmp_path):
    """A whole model without top as `.h5`; layers that Keras counts have other numbers than here."""
    keras_model = original(name, 96)
    keras_model.save(tmp_path / "k.h5")
    said = Statement("none stated", input_range=(-1.0, 1.0))
    card = import_weights(tmp_path / "k.h5", name, said, tmp_path / "own.weights.h5")
    assert (card.left_out, card.adaptations, card.channel_order) == ((), (), "rgb")
    image = pixels(96)
    assert_alike(features(name, tmp_path / "own.weights.h5", 96)(image), keras_model(image / 127.5 - 1))


def _without(tensors, name):
    return {key: tensor for key, tensor in tensors.items() if key != name}


def _with_value(tensors, name, value):
    changed = tensors[name].copy()
    changed.flat[0] = value
    return tensors | {name: changed}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: _without(t, "_bn1.running_var"), r"1 of its tensors are missing, first: _bn1\.running_var"),
        (lambda t: t | {"decoder.weight": np.ones(3, "f4")}, r"1 are none of its tensors, first: decoder\.weight"),
        (lambda t: _with_value(t, "_conv_stem.weight", np.nan), r"_conv_stem\.weight: expected finite numbers"),
        (lambda t: _with_value(t, "_bn0.running_var", -1), r"_bn0\.running_var: expected variances of 0 or more"),
        (lambda t: t | {"_bn0.bias": np.ones(5, "f4")}, r"_bn0\.bias: expected the shape \(32,\)"),
        (lambda t: t | {"_bn0.bias": np.ones(32, "i8")}, r"_bn0\.bias: expected floats"),
        (
            lambda t: t | {"module._bn0.bias": np.ones(32, "f4")},
            r"_bn0\.bias and module\._bn0\.bias stand for",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(change, words, lite_tensors, tmp_path):
    assert_refused(foreign.write_safetensors(tmp_path / "w.safetensors", change(lite_tensors)), words)


@pytest.mark.parametrize(("name", "words"), [("EfficientNetLite1", "missing"), ("NASNetMobile", "not known, only")])
def test_another_backbone_is_refused(name, words, lite_tensors, tmp_path):
    assert_refused(foreign.write_torch(tmp_path / "w.pth", lite_tensors), words, backbone=name)


def test_weights_of_another_backbone_are_refused_where_they_are_used(lite_tensors, tmp_path):
    path = foreign.write_torch(tmp_path / "w.pth", lite_tensors)
    import_weights(path, LITE, SAID, tmp_path / "own.weights.h5")
    with pytest.raises(UserError, match=f"was made for another backbone, {LITE}"):
        check_backbone("EfficientNetLite1", str(tmp_path / "own.weights.h5"), "", 64, 3)
    with h5py.File(tmp_path / "own.weights.h5", "a") as file:
        file.attrs["kmedtl_card"] = json.dumps({"backbone": LITE, "licence": ""})
    with pytest.raises(UserError, match="kmedtl_card is damaged"):
        check_backbone(LITE, str(tmp_path / "own.weights.h5"), "", 64, 3)


@pytest.mark.parametrize(
    ("said", "backbone", "words"),
    [
        (lambda: Statement(" "), LITE, "licence: expected the terms"),
        (lambda: Statement("MIT", input_range=(1.0, 1.0)), LITE, "input_range: expected LOW,HIGH"),
        (lambda: Statement("MIT", input_range=(-1.0, 1.0)), "MobileNetV3Small", "its own layers normalise"),
        (lambda: Statement("MIT", channel_order="bgr"), "EfficientNetB0", "its own layers normalise"),
        (lambda: SAID, "EfficientNetLite", "no such backbone"),
    ],
)
def test_statements_that_cannot_be_are_refused(said, backbone, words, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"")
    assert_refused(tmp_path / "w.pth", words, said(), backbone)


def test_files_that_are_none_or_in_the_way_are_refused(tmp_path):
    assert_refused(tmp_path / "w.pth", "no such file")
    (tmp_path / "w.ckpt").touch()
    assert_refused(tmp_path / "w.ckpt", "expected a file of weights")
    (tmp_path / "w.pth").touch()
    (tmp_path / "there.weights.h5").touch()
    for out, words in (("there.weights.h5", "exists already"), ("out.h5", r"ends in \.weights\.h5")):
        with pytest.raises(UserError, match=words):
            import_weights(tmp_path / "w.pth", LITE, SAID, tmp_path / out)


@pytest.mark.slow
def test_imported_weights_tell_images_apart_better_than_random_ones(tmp_path):
    """A linear probe on films of the phantom: ImageNet's weights, in torch's layout, against random ones."""
    path = foreign.write_torch(tmp_path / "lite.pth", read_state_dict(registry.get(LITE).weights_path()))
    import_weights(path, LITE, SAID, tmp_path / "own.weights.h5")
    own = str(tmp_path / "own.weights.h5")
    np.testing.assert_array_equal(features(LITE, own)(pixels()), features(LITE, "imagenet")(pixels()))
    population = list(films(400, 0, 128))
    images = np.stack([film.image for film in population])[..., None]

    def probe(weights, seed=0):
        keras.utils.set_random_seed(seed)
        maps = features(LITE, weights, 128, 1).predict(images, batch_size=32, verbose=0)
        return auc(maps.mean((1, 2)), population)

    assert probe(own) > max(probe("random", seed) for seed in (0, 1)) + 0.1  # 0.83, 0.60 and 0.64


def assert_refused(path, words, said=SAID, backbone=LITE):
    with pytest.raises(UserError, match=words) as refusal:
        import_weights(path, backbone, said, path.parent / "own.weights.h5")
    assert "\n" not in str(refusal.value)
    assert not re.search(r"own\.weights", " ".join(entry.name for entry in path.parent.iterdir()))
