"""The contract every backbone keeps, over all rows of the registry, with random weights and small images.

Structure (parameters, blocks, cuts, freezing) is checked on every row but the largest. What takes a second model and
real steps, the `.keras` round trip and `fit`, runs on the smallest row of each family, whose siblings repeat the same
layers, and everything on all rows with KMEDTL_EVERY_BACKBONE=1 (16 minutes of CPU time and 6 GB: before a release or
with a new Keras).
"""

from __future__ import annotations

import gc
import zlib
from operator import attrgetter

import keras
import numpy as np
import pytest

from kmedtl.backbones import registry
from kmedtl.backbones.blocks import block_map, end_tensors, freeze, frontier, pyramid, set_trainable, unfreeze
from kmedtl.backbones.build import build_features
from tests.rows import EVERY, SMALLEST, quick_first

LARGE = 45_000_000  # parameters
ROWS = [row for row in registry.ROWS if row.name in SMALLEST or row.parameters < LARGE or EVERY]


@pytest.fixture(autouse=True)
def _one_model_in_memory():
    """Clear the last row's model, and let no collection walk the thousands of layers of this one meanwhile."""
    keras.backend.clear_session()
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("row", quick_first(ROWS), ids=attrgetter("name"))
def test_contract(row, tmp_path):
    whole = row.name in SMALLEST or EVERY
    images = np.random.default_rng(7).uniform(0, 255, (2, row.min_size, row.min_size, 1)).astype("float32")
    model = _model(row)
    if whole:
        model = _round_trip(model, images, tmp_path / "model.keras")
    blocks = block_map(model, row.name)
    _check_parameters(row, model, blocks)
    _check_partition(row, model, blocks)
    _check_cuts(row, model, blocks)
    _check_pyramid(row, model, blocks)
    _check_freezing(model, blocks)
    if whole:
        _check_fit(model, blocks, images)


def test_every_keras_application_has_a_row():
    applications = {name for name, value in vars(keras.applications).items() if name[0].isupper() and callable(value)}
    assert applications
    assert applications <= set(registry.names())


def _model(row):
    keras.utils.set_random_seed(7)
    image = keras.Input((row.min_size, row.min_size, 1), name="image")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(build_features(image, row.name, weights="random"))
    x = keras.layers.BatchNormalization(name="head_bn")(x)
    return keras.Model(image, keras.layers.Dense(1, name="logit")(x))


def _round_trip(model, images, path):
    """Save, let go of the model before the next one fills memory, load, and compare bit for bit."""
    output, weights = model(images).numpy(), _checksums(model.weights)
    model.save(path)
    del model
    keras.backend.clear_session()
    gc.collect()
    loaded = keras.models.load_model(path)
    path.unlink()
    assert _checksums(loaded.weights) == weights
    np.testing.assert_array_equal(loaded(images).numpy(), output)
    return loaded


def _checksums(variables):
    return [zlib.crc32(np.ascontiguousarray(variable.numpy())) for variable in variables]


def _check_parameters(row, model, blocks):
    (head,) = (block for block in blocks if block.name == "head")
    in_head = sum(model.get_layer(name).count_params() for name in head.layers)
    assert model.count_params() - in_head == row.parameters


def _check_partition(row, model, blocks):
    in_blocks = [name for block in blocks for name in block.layers]
    assert sorted(in_blocks) == sorted(layer.name for layer in model.layers if layer.weights)
    assert [block.name for block in blocks] == [*(name for name, _ in row.blocks), "head"]
    assert all(block.layers for block in blocks)


def _check_cuts(row, model, blocks):
    consumers = _consumers(model)
    assert "logit" in _reached(consumers, "image", without=())
    for block in blocks[:-1]:
        assert len(block.ends) == 1 or row.name.startswith("NASNet"), block
        assert "logit" not in _reached(consumers, "image", without=block.ends), block
        ends = end_tensors(model, block)
        assert len(ends) == len(block.ends)
        assert frontier(model, ends) == ends  # nothing goes past a cut


def _check_pyramid(row, model, blocks):
    maps = pyramid(model, blocks[:-1])
    finest, coarsest = min(maps), max(maps)
    assert (finest, coarsest) in ((2, 32), (4, 32), (8, 32), (1, 8))  # the last of `Tiny`
    assert set(maps) == {stride for stride in (1, 2, 4, 8, 16, 32) if finest <= stride <= coarsest}
    for stride, found in maps.items():
        side = model.inputs[0].shape[1]
        assert found.shape[1] <= side / stride + 1
        assert found.shape[1] >= side / stride - 5  # InceptionV3 pads nothing


def _consumers(model):
    """Return {operation: those it feeds}, read from the model's configuration and not through the code tested."""
    consumers = {}
    for operation in model.get_config()["layers"]:
        for source in _histories(operation["inbound_nodes"]):
            consumers.setdefault(source, set()).add(operation["name"])
    return consumers


def _histories(node):
    if isinstance(node, dict) and node.get("class_name") == "__keras_tensor__":
        yield node["config"]["keras_history"][0]
    elif isinstance(node, dict):
        for value in node.values():
            yield from _histories(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _histories(value)


def _reached(consumers, start, without):
    seen, todo = set(without), [start]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(consumers.get(name, ()))
    return seen - set(without)


def _check_freezing(model, blocks):
    names = [block.name for block in blocks]
    for what, expected in {
        "head": ["head"],
        "all": names,
        "last:2": names[-3:],
        names[1]: [names[1]],
        f"{names[0]}, head": [names[0], "head"],
        f"{names[0][:2]}*": [name for name in names if name.startswith(names[0][:2])],
    }.items():
        assert set_trainable(model, blocks, what) == tuple(expected)
        assert _trainable(model, blocks) == expected
    set_trainable(model, blocks, "head")
    unfreeze(model, blocks, names[0])
    assert _trainable(model, blocks) == [names[0], "head"]
    freeze(model, blocks, "head")
    assert _trainable(model, blocks) == [names[0]]


def _trainable(model, blocks):
    """Return the blocks all of whose weights but BatchNormalization's train; no block may train in part."""
    trainable = {id(weight) for weight in model.trainable_weights}
    by_name = {layer.name: layer for layer in model.layers}
    names = []
    for block in blocks:
        layers = [by_name[name] for name in block.layers]
        frozen = (keras.layers.BatchNormalization, keras.layers.Normalization)
        flags = {id(w) in trainable for layer in layers if not isinstance(layer, frozen) for w in layer.weights}
        assert len(flags) == 1, block
        assert not any(layer.trainable_weights for layer in layers if isinstance(layer, frozen))
        if flags == {True}:
            names.append(block.name)
    return names


def _check_fit(model, blocks, images):
    """Train the last block and the head for a step: BatchNormalization of both is frozen too."""
    set_trainable(model, blocks, "last:1")
    model.compile(keras.optimizers.Lion(1e-3), "mse", run_eagerly=True)
    trainable, frozen = model.trainable_weights, model.non_trainable_weights
    before = _checksums(trainable), _checksums(frozen)
    model.fit(images, np.ones((2, 1)), batch_size=2, verbose=0)
    assert _checksums(frozen) == before[1]
    moved = [now != then for now, then in zip(_checksums(trainable), before[0], strict=True)]
    assert all(moved[-2:]), "the head"  # kernel and bias of its dense layer
    assert any(moved[:-2]), "the last block"
