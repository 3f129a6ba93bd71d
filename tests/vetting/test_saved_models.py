"""A SavedModel that would do more than answer is refused before TensorFlow opens it, and none of it runs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from kmedtl.backbones.registry import get
from kmedtl.edge.tasks.classification.calibration import Calibration
from kmedtl.errors import UserError
from kmedtl.export import saved_model
from kmedtl.export.runtimes import load_keras, open_runtime
from kmedtl.heads.pooling import HEADS
from kmedtl.recipe import Backbone, Head
from kmedtl.system.native_logs import quiet_stderr
from kmedtl.tasks.classification.network import NETWORK
from kmedtl.vetting.saved_models import check_saved_model
from tests.export.conftest import pictures
from tests.models import build_classifier, decoder_of

SIZE = 8
FAMILIES = {  # one a family → the last block that is kept, where those above repeat what is below
    "EfficientNetLite0": "block3", "ConvNeXtTiny": "stage1", "DenseNet121": "conv3", "EfficientNetB0": "block3",
    "EfficientNetV2B0": "block4", "InceptionV3": "mixed4", "InceptionResNetV2": "mixed_6a", "MobileNet": "",
    "MobileNetV2_035": "", "MobileNetV3Small": "", "NASNetMobile": "", "ResNet50": "conv3",
    "ResNet50V2": "conv3", "VGG16": "", "Xception": "block5",
}  # fmt: skip
KNOTS = ((0.0, 0.1), (1.0, 0.9))
CALIBRATIONS = (
    Calibration("vector", "binary", (1.7,), (-0.4,)),
    Calibration("isotonic", "multi_class", (1.0,) * 3, (0.0,) * 3, (KNOTS,) * 3),
    Calibration("isotonic", "multi_label", (1.0,) * 2, (0.0,) * 2, (KNOTS,) * 2),
    Calibration("temperature", "multi_class", (2.0,) * 3, (0.0,) * 3),
)


def _write(target):
    with tf.control_dependencies([tf.io.write_file(target, "written")]):
        return tf.constant(0.0)


def _read(target):
    return tf.cast(tf.strings.length(tf.io.read_file(target)), tf.float32)


def _save(target):
    save = tf.raw_ops.SaveV2(prefix=target, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.constant(1.0)])
    with tf.control_dependencies([save]):
        return tf.constant(0.0)


def _restore(target):
    return tf.raw_ops.RestoreV2(prefix=target, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]


def _print(target):
    with tf.control_dependencies([tf.print("text", output_stream=f"file://{target}")]):
        return tf.constant(0.0)


def _nested(target):
    return tf.function(lambda: tf.function(lambda: _write(target))())()


def _branch(target):
    return tf.cond(tf.shape(tf.constant([1]))[0] > 0, lambda: _write(target), lambda: 0.0)


def _loop(target):
    return tf.while_loop(lambda total: total < 1, lambda total: total + 1 + _write(target), [tf.constant(0.0)])[0]


def _mapped(target):
    return tf.reduce_sum(tf.map_fn(lambda number: number + _write(target), tf.constant([1.0])))


def _dataset(target):
    return tf.cast(tf.data.TextLineDataset(target).cardinality(), tf.float32)


ATTACKS = {
    "WriteFile": _write,
    "ReadFile": _read,
    "SaveV2": _save,
    "RestoreV2": _restore,
    "EagerPyFunc": lambda _: tf.py_function(lambda: 1.0, [], tf.float32),
    "PyFunc": lambda _: tf.numpy_function(lambda: np.float32(1), [], tf.float32),
    "StringFormat of a print": _print,
    "WriteFile in a nested function": _nested,
    "WriteFile in a branch": _branch,
    "WriteFile in a loop": _loop,
    "WriteFile in a map": _mapped,
    "(TensorSlice|TextLine)Dataset of a dataset": _dataset,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_operation_that_does_more_than_answer_is_refused_by_name(name, tmp_path):
    target = tmp_path / "target"
    path = _saved(tmp_path / "model", ATTACKS[name], str(target))
    with pytest.raises(UserError, match=rf"{path}: holds the operation '{name.split()[0]}'.*export it anew"):
        open_runtime(path)
    assert not list(tmp_path.glob("target*"))


def test_a_table_that_reads_a_file_while_the_model_is_loaded_is_refused(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    initializer = tf.lookup.TextFileInitializer(
        str(tmp_path / "secret.txt"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )  # fmt: skip
    table = tf.lookup.StaticHashTable(initializer, -1)
    path = _saved(tmp_path / "model", lambda _: tf.cast(table.lookup(tf.constant("a")), tf.float32), "", table=table)
    with pytest.raises(UserError, match=r"an object of the kind|the operation"):
        open_runtime(path)


def _saved(folder, extra, target, **tracked):
    """Write a model that answers as a classifier, and does something else meanwhile."""

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, SIZE, SIZE, 1), tf.float32, name="image")])
        def __call__(self, image):
            logits = tf.reduce_mean(image, axis=(1, 2)) + 0 * extra(target)
            return {"logits": logits, "features": logits}

    model = Model()
    model.weight = tf.Variable(1.0)
    for name, value in tracked.items():
        setattr(model, name, value)
    with quiet_stderr():
        tf.saved_model.save(model, str(folder), signatures={"features": model.__call__})
    return folder


@pytest.fixture
def sound(tmp_path):
    return _saved(tmp_path / "sound", lambda _: 0.0, "")


def _call_the_saver(graph):
    """Let the function of the signature call the one that saves; its name is the only thing that tells."""
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    saving = next(name for name in functions if "traced_save" in name)
    node = functions[_signature(functions)].node_def.add()
    node.name, node.op = "extra", "StatefulPartitionedCall"
    node.attr["f"].func.name = saving


def _signature(functions):
    return next(name for name in functions if "signature_wrapper" in name)


def _call_it_by_its_operation(graph):
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    node = functions[_signature(functions)].node_def.add()
    node.name, node.op = "extra", next(name for name in functions if "traced_save" in name)


def _swap_it_in(graph):
    for function in graph.graph_def.library.function:
        function.attr["api_implements"].s = b"same"


def _name_it_an_object(graph):
    functions = [function.signature.name for function in graph.graph_def.library.function]
    saving = next(name for name in functions if "traced_save" in name)
    graph.object_graph_def.nodes.add().bare_concrete_function.concrete_function_name = saving


def _hide_it(graph):
    """An operation in a function that nothing calls."""
    function = graph.graph_def.library.function.add()
    function.signature.name = "hidden"
    function.node_def.add(name="extra", op="ReadFile")


def _register(graph):
    graph.object_graph_def.nodes[0].registered_name = "Custom.Class"


def _revive(graph):
    graph.object_graph_def.nodes[0].user_object.identifier = "_tf_keras_layer"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_call_the_saver, "traced_save.*reads or writes files"),
        (_call_it_by_its_operation, "the operation '__inference__traced_save"),
        (_swap_it_in, "api_implements"),
        (_name_it_an_object, "traced_save.*reads or writes files"),
        (_hide_it, "the operation 'ReadFile'"),
        (_register, "an object of the kind 'Custom.Class'"),
        (_revive, "an object of the kind '_tf_keras_layer'"),
        (lambda graph: graph.ClearField("object_graph_def"), "TensorFlow 1"),
    ],
)
def test_what_is_hidden_in_a_sound_model_is_found(change, words, sound):
    file = sound / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(model.meta_graphs[0])
    file.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=words) as error:
        open_runtime(sound)
    assert "\n" not in str(error.value)


def test_a_second_graph_and_a_damaged_file_are_refused(sound):
    file = sound / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    model.meta_graphs.add().CopyFrom(model.meta_graphs[0])
    file.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="one graph"):
        open_runtime(sound)
    file.write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match="not a SavedModel"):
        open_runtime(sound)


def test_a_sound_model_answers(sound):
    images = pictures(3, 0, 256)[:, :SIZE, :SIZE]
    answered = open_runtime(sound)(images)
    np.testing.assert_allclose(answered["logits"][:, 0], images.mean((1, 2, 3)), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "last"), FAMILIES.items())
def test_what_kmedtl_writes_of_every_family_is_let_through(name, last, tmp_path):
    number = sum(map(ord, name))  # any mixture of heads, questions and channels
    calibration, head = CALIBRATIONS[number % 4], sorted(HEADS)[number % 3]
    keras.utils.clear_session()
    model = build_classifier(
        Backbone(name, "random", truncate_at=last),
        Head(kind=head),
        max(get(name).min_size, 64),
        3 - 2 * (number % 2),
        len(calibration.scale),
    )
    labels = "binary" if calibration.kind == "binary" else calibration.kind
    classes = ("A", "B") if labels == "binary" else tuple("ABC"[: len(calibration.scale)])
    decoder = decoder_of(labels, classes, calibration)
    decode = lambda outputs: NETWORK.decode(outputs, decoder)  # noqa: E731
    check_saved_model(saved_model.write(model, tmp_path / "saved_model", decode))
    model.save(tmp_path / "model.keras")
    assert load_keras(tmp_path / "model.keras").count_params() == model.count_params()
