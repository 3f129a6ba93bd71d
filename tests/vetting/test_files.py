"""Keras archives, HDF5, ONNX and TFLite files that would do more than answer are refused by name, in one line."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from kmedtl.edge.litert import LiteRTModel
from kmedtl.errors import UserError
from kmedtl.export.runtimes import load_keras, open_runtime
from kmedtl.system.native_logs import quiet_stderr
from kmedtl.vetting.hdf5 import check_hdf5
from tests.export.conftest import classifier


@pytest.fixture
def archive(tmp_path):
    """A sound model."""
    path = tmp_path / "model.keras"
    classifier().save(path)
    return path


def _rewrite(path, change):
    """Give all members of an archive, by name, to `change`, which alters them."""
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _with_layer(layer):
    def change(members):
        config = json.loads(members["config.json"])
        config["config"]["layers"][1] = {"name": "extra", "inbound_nodes": []} | layer
        members["config.json"] = json.dumps(config)

    return change


def _with_weights(write):
    def change(members):
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            write(file)
        members["model.weights.h5"] = content.getvalue()

    return change


LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEAAAA=", "defaults": None, "closure": None}}


def _in_a_dense_layer(activation):
    config = {"name": "extra", "units": 3, "activation": activation}
    return {"module": "keras.layers", "class_name": "Dense", "config": config, "registered_name": None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_with_layer({"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}}), "Lambda"),
        (_with_layer({"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/x"}}), "TFSMLayer"),
        (_with_layer({"module": "keras.layers", "class_name": "StringLookup", "config": {}}), "StringLookup"),
        (_with_layer({"module": "os", "class_name": "system", "config": "true"}), "os.system"),
        (_with_layer({"module": "keras.utils", "class_name": "get_file", "config": {}}), "keras.utils.get_file"),
        (_with_layer({"module": ["os"], "class_name": {}, "config": {}}), "holds"),
        (_with_layer(_in_a_dense_layer(LAMBDA)), "__lambda__"),
        (_with_layer(_in_a_dense_layer({"module": "builtins", "class_name": "function", "config": "x"})), "function"),
        (_with_layer({"module": "keras.layers", "class_name": "Dense", "registered_name": "Other"}), "'Other'"),
        (lambda members: members.update({"../escaped": b"x"}), "'../escaped'"),
        (lambda members: members.update({"config.json": "[" * 100_000}), "not a Keras archive"),
        (lambda members: members.update({"config.json": "{"}), "config.json is damaged"),
        (lambda members: members.update({"model.weights.h5": b"no HDF5"}), "not a Keras archive"),
        (lambda members: members.pop("model.weights.h5"), "not a Keras archive"),
        (_with_weights(lambda file: file.update({"x": h5py.ExternalLink("/etc/other.h5", "/a")})), "/x"),
        (_with_weights(lambda file: file.update({"x": h5py.SoftLink("/y")})), "a link"),
        (
            _with_weights(lambda f: f.create_dataset("x", (9,), "u1", external=[("/etc/passwd", 0, 9)])),
            "an array in another file",
        ),
        (_with_weights(lambda f: f.create_dataset("x", (10**12,), "u1", chunks=(10**6,), compression=1)), "/x"),
        (_with_weights(lambda f: f.create_dataset("x", (10**12,), "f4")), "not stored as they are"),
        (_with_weights(lambda f: f.create_dataset("x", (2,), h5py.string_dtype())), "no array of numbers"),
    ],
)
def test_a_keras_file_that_holds_more_than_a_classifier_is_refused(change, words, archive):
    _rewrite(archive, change)
    with pytest.raises(UserError, match=words) as error:
        load_keras(archive)
    assert str(archive) in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_that_expand_are_refused_before_they_do(archive):
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("kmedtl.json", b" " * 40_000_000)
    with pytest.raises(UserError, match=r"kmedtl\.json expands to 40000000 bytes"):
        load_keras(archive)


def test_a_group_that_holds_itself_is_no_endless_search(tmp_path):
    path = tmp_path / "circle.h5"
    with h5py.File(path, "w") as file:
        file["inner/again"] = file
    check_hdf5(path, path)


def test_a_sound_archive_loads(archive):
    assert load_keras(archive).output_shape == (None, 1)


def _onnx(tmp_path, change):
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = helper.make_tensor("weights", kind, [1], [1.0])
    nodes = [helper.make_node("Add", ["image", "weights"], ["logits"])]
    ends = [helper.make_tensor_value_info(name, kind, [1]) for name in ("image", "logits")]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph)
    change(onnx, model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _elsewhere(location):
    def change(onnx, model):
        weights = model.graph.initializer[0]
        weights.ClearField("float_data")
        weights.data_location = onnx.TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=location)

    return change


def _constant_elsewhere(onnx, model):
    node = model.graph.node.add(op_type="Constant", output=["more"])
    tensor = onnx.helper.make_tensor("constant", onnx.TensorProto.FLOAT, [1], [1.0])
    tensor.external_data.add(key="location", value="/etc/passwd")
    node.attribute.append(onnx.helper.make_attribute("value", tensor))


def _of_another_maker(onnx, model):
    model.graph.node.add(op_type="EPContext", domain="com.microsoft", output=["more"])


def _in_a_branch(onnx, model):
    graph = onnx.helper.make_graph([onnx.helper.make_node("Run", [], ["x"], domain="evil")], "then", [], [])
    node = model.graph.node.add(op_type="If", input=["image"], output=["more"])
    node.attribute.append(onnx.helper.make_attribute("then_branch", graph))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_elsewhere("../../etc/passwd"), r"'\.\./\.\./etc/passwd'"),
        (_elsewhere("/etc/passwd"), "'/etc/passwd'"),
        (_constant_elsewhere, "'/etc/passwd'"),
        (_of_another_maker, "'com.microsoft.EPContext'"),
        (_in_a_branch, "'evil.Run'"),
    ],
)
def test_an_onnx_file_that_reaches_beyond_itself_is_refused(change, words, tmp_path):
    path = _onnx(tmp_path, change)
    with pytest.raises(UserError, match=words):
        open_runtime(path)


@pytest.mark.parametrize("operations", ["SELECT_TF_OPS", "CUSTOM"])
def test_a_tflite_file_with_operations_of_tensorflow_or_of_its_own_is_refused_by_name(operations, tmp_path):
    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 1), tf.float32)])
        def __call__(self, image):
            return tf.reduce_mean(image) + tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), tf.float32)

    module = Reader()
    with quiet_stderr():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if operations == "CUSTOM":
            converter.allow_custom_ops = True
        else:
            converter.target_spec.supported_ops.append(tf.lite.OpsSet.SELECT_TF_OPS)
        path = tmp_path / "model.tflite"
        path.write_bytes(converter.convert())
    with pytest.raises(UserError, match=r"ReadFile|Flex"):
        LiteRTModel(path)(np.zeros((1, 8, 8, 1), np.uint8))


def test_the_names_that_are_let_through_are_kerass_own():
    from kmedtl.vetting.keras_files import LAYERS

    assert all(
        issubclass(getattr(keras.layers, name), keras.layers.Layer) or name == "InputLayer" for name in LAYERS.split()
    )
