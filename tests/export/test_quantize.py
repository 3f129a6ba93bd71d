import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from kmedtl.backbones.spec import FEATURES
from kmedtl.edge.litert import LiteRTModel
from kmedtl.edge.shapes import ModelInputs
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.export import quantize, saved_model
from kmedtl.export.int8 import Int8Options, choose, early_counts
from kmedtl.export.parity import Parity
from kmedtl.heads.pooling import POOLING
from kmedtl.statistics.confidence import Estimate
from tests.export.conftest import SIZE, pictures

NONE = Estimate(0.0, 0.0, 0.0, "")
DARK, BRIGHT = pictures(24, 0, 40), pictures(1, 240, 256)


def features_of(file, path, images):
    path.write_bytes(file)
    return LiteRTModel(path)(images)["features"]


def test_a_file_in_float_answers_as_the_model(whole, model, tmp_path):
    (tmp_path / "whole.tflite").write_bytes(whole)
    found = LiteRTModel(tmp_path / "whole.tflite")(DARK)
    expected = model.predict(DARK.astype("float32"), verbose=0)
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-5)


@pytest.mark.parametrize("place", [0, 12, 24])
def test_ranges_hold_an_outlier_wherever_it_comes(whole, tmp_path, place):
    """Most images are dark, one is bright: a moving average of the ranges would clip what it lights up."""
    images = np.insert(DARK, place, BRIGHT, axis=0)
    ranges = quantize.ranges_of(whole, images)
    expected = features_of(whole, tmp_path / "float32.tflite", BRIGHT)
    found = features_of(quantize.by_ranges(whole, ranges), tmp_path / "int8.tflite", BRIGHT)
    clipped = features_of(quantize.by_ranges(whole, ranges, share=0.5), tmp_path / "clipped.tflite", BRIGHT)
    assert expected.max() > 3 * features_of(whole, tmp_path / "float32.tflite", DARK).max()
    assert np.abs(found - expected).max() < 0.03 * expected.max()
    assert np.abs(clipped - expected).max() > 0.2 * expected.max()


def test_what_stays_in_float_is_nearer(whole, tmp_path):
    ranges, convolutions = quantize.ranges_of(whole, DARK), quantize.convolution_outputs(whole)
    expected = features_of(whole, tmp_path / "float32.tflite", DARK)
    errors = [
        np.abs(features_of(file, tmp_path / "int8.tflite", DARK) - expected).mean()
        for file in (quantize.by_ranges(whole, ranges, in_float=convolutions[:count]) for count in (0, 1, 2))
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.5 * errors[0]


def test_the_convolutions_that_are_asked_for_stay_in_float_and_no_others(whole):
    ranges = quantize.ranges_of(whole, DARK)
    first, second = quantize.convolution_outputs(whole)
    kinds = []
    for names in ((), (first,)):
        interpreter = Interpreter(model_content=quantize.by_ranges(whole, ranges, in_float=names))
        kinds.append({tensor["name"].rstrip(";"): tensor["dtype"] for tensor in interpreter.get_tensor_details()})
    assert [kind[first.rstrip(";")] for kind in kinds] == [np.int8, np.float32]
    assert [kind[second.rstrip(";")] for kind in kinds] == [np.int8, np.int8]


@pytest.mark.parametrize(
    ("convolutions", "kept"),
    [(0, [0]), (3, [0]), (8, [2]), (27, [6]), (30, [6, 7]), (48, [6, 12]), (200, [6, 12])],
)
def test_a_quarter_of_the_convolutions_at_most_stays_in_float(convolutions, kept):
    assert early_counts(convolutions) == kept


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "kept"), [(1.0, [6]), (-1.0, [6, 12])])
def test_more_layers_stay_in_float_where_the_first_do_not_do(tmp_path, limit, kept):
    keras.utils.set_random_seed(3)
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = image
    for _ in range(48):
        x = keras.layers.Conv2D(2, 1, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name=POOLING)(keras.layers.Activation("linear", name=FEATURES)(x))
    deep = keras.Model(image, {LOGITS: keras.layers.Dense(1, name=LOGITS)(x)})
    folder = saved_model.write(deep, tmp_path / "saved_model")

    def judge(file):
        assert len(file) > 1000
        failed_gates = ("mean |Δp|",) if limit < 0 else ()
        return Parity("model_int8.tflite", 0, "auc", 1, NONE, {"mean_difference": 0.0}, failed_gates=failed_gates)

    ways = Int8Options(folder, quantize.convert(folder), lambda count: ModelInputs(DARK[:count]), 6)
    tried = {attempt.way for attempt in choose(ways, judge, thorough=False)}
    assert tried == {f"litert-quantizer, min–max, the first {count} layers in float" for count in kept}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "thorough", "tried"), [(1.0, True, 2), (-1.0, True, 5), (1.0, False, 1), (-1.0, False, 1)]
)
def test_ways_are_tried_in_order_until_one_will_do(saved, whole, tmp_path, limit, thorough, tried):
    expected = features_of(whole, tmp_path / "float32.tflite", DARK)

    def judge(file):
        error = float(np.abs(features_of(file, tmp_path / "int8.tflite", DARK) - expected).mean())
        failed_gates = ("mean |Δp|",) if error > limit else ()
        return Parity("model_int8.tflite", 0, "auc", 1, NONE, {"mean_difference": error}, failed_gates=failed_gates)

    attempts = choose(Int8Options(saved, whole, lambda count: ModelInputs(DARK[:count]), 6), judge, thorough)
    assert len(attempts) == tried
    assert attempts[-1].parity.cost[-1] == min(attempt.parity.cost[-1] for attempt in attempts)
    assert ("weights only" in {attempt.way for attempt in attempts}) == (tried == 5)
