"""A file whose input and output are quantized, as other tools write it, is answered in the values that it means."""

import numpy as np
import pytest
import tensorflow as tf

from kmedtl.edge import interpreters
from kmedtl.edge.interpreters import Interpreters
from kmedtl.edge.litert import LiteRTModel

SIZE = 8


@pytest.fixture
def quantized(tmp_path):
    """The logit is 8 · (mean − 0.5) of float pixels in 0–255 as shares; both ends are int8."""

    class Brightness(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 1), tf.float32)])
        def __call__(self, image):
            return 8 * (tf.reduce_mean(image, axis=(1, 2)) / 255 - 0.5)

    module = Brightness()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.__call__)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [np.full((1, SIZE, SIZE, 1), value, np.float32)] for value in (0, 128, 255)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path = tmp_path / "quantized.tflite"
    path.write_bytes(converter.convert())
    return path


def test_a_quantized_output_is_told_in_what_it_means(quantized):
    images = np.stack([np.full((SIZE, SIZE, 1), value, np.uint8) for value in (0, 64, 128, 255)])
    expected = 8 * (images.mean(axis=(1, 2)) / 255 - 0.5)
    np.testing.assert_allclose(
        LiteRTModel(quantized)(images)[next(iter(LiteRTModel(quantized)(images)))], expected, atol=0.1
    )


def test_several_interpreters_answer_in_order_as_one_does(quantized):
    images = np.random.default_rng(0).integers(0, 256, (37, SIZE, SIZE, 1)).astype(np.uint8)
    model, many = LiteRTModel(quantized), LiteRTModel(quantized)
    one_by_one = np.concatenate([next(iter(model(image[None]).values())) for image in images])
    np.testing.assert_array_equal(next(iter(many(images).values())), one_by_one)


def test_interpreters_share_the_work_and_keep_its_order(quantized, monkeypatch):
    monkeypatch.setattr(interpreters, "usable_cores", lambda: 3)
    copies = Interpreters(quantized.read_bytes())
    for count, used in ((0, 0), (1, 1), (4, 1), (8, 2), (12, 3), (5, 3), (101, 3)):
        found = copies.each(lambda copy, number: (number, id(copy)), count)
        assert [number for number, _ in found] == list(range(count))
        assert len({copy for _, copy in found}) == used
