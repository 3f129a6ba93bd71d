"""A quantized file that aborts its runtime takes no run along."""

import math

import keras
import numpy as np
import pytest

from kmedtl.export import quantize, saved_model
from kmedtl.export.int8 import QuantizationAttempt
from kmedtl.export.parity import Parity, aborted
from kmedtl.export.survival import survives
from kmedtl.statistics.confidence import undefined

TITLES = {"mean_difference": "mean |Δp|"}


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A float TFLite file and the ranges of its tensors."""
    image = keras.Input((16, 16, 1), name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu6", name="first")(image)
    x = keras.layers.GlobalAveragePooling2D(name="head_pool")(keras.layers.Conv2D(4, 3, name="second")(x))
    model = keras.Model(image, {"logits": keras.layers.Dense(1, name="logits")(x)})
    folder = tmp_path_factory.mktemp("converted") / "saved_model"
    saved_model.write(model, folder, lambda outputs: {})
    whole = quantize.convert(folder)
    return whole, quantize.ranges_of(whole, np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), np.uint8))


def test_a_file_is_asked_in_a_process_of_its_own(converted):
    whole, ranges = converted
    assert survives(whole)
    assert survives(quantize.by_ranges(whole, ranges))
    (activation,) = (name for name in ranges if "first" in name)
    overflowing = ranges | {activation: np.tile([0, 1e-7], (len(ranges[activation]), 1))}
    assert not survives(quantize.by_ranges(whole, overflowing))
    assert not survives(b"no model at all")


def test_such_a_file_is_not_kept_and_never_chosen(tmp_path):
    path = tmp_path / "model_int8.tflite"
    path.write_bytes(b"x" * 1000)
    row = aborted(path, "auc", TITLES)
    assert not path.exists()
    assert row.failed_gates == ("LiteRT aborts on it, so it is not kept",)
    assert math.isnan(row.value)
    assert math.isnan(row.document()["mean_difference"])
    poor = Parity(
        "model_int8.tflite", 1.0, "auc", 0.5, undefined("a test"), {"mean_difference": 0.4}, "", ("a", "b", "c")
    )
    attempts = [QuantizationAttempt("one", b"", row), QuantizationAttempt("other", b"", poor)]
    assert min(attempts, key=lambda attempt: attempt.parity.cost).way == "other"
