"""A SavedModel answers where there is nothing but TensorFlow, to the requests that TensorFlow Serving takes."""

import base64
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kmedtl.edge.tasks.classification.calibration import Calibration, probabilities
from kmedtl.export import saved_model
from kmedtl.images.read_image import read_image
from kmedtl.images.reading import Reading
from kmedtl.tasks.classification.network import NETWORK
from tests.export.conftest import SIZE, classifier, pictures
from tests.models import decoder_of

# What TensorFlow Serving does with a request to its predict API: `b64` becomes bytes, the list becomes a tensor of the
# signature's type, the outputs become a list of one object an instance.
SERVE = """
import base64, json, sys
sys.modules["keras"] = sys.modules["kmedtl"] = None  # to import either is an error
import tensorflow as tf
request = json.load(sys.stdin)
signature = tf.saved_model.load(sys.argv[1]).signatures[request["signature_name"]]
(name, spec), = signature.structured_input_signature[1].items()
values = [base64.b64decode(v["b64"]) if isinstance(v, dict) else v for v in request["instances"]]
found = {key: value.numpy().tolist() for key, value in signature(**{name: tf.constant(values, spec.dtype)}).items()}
print(json.dumps([dict(zip(found, row)) for row in zip(*found.values())]))
"""
PLATT = Calibration("vector", "binary", (1.7,), (-0.4,))


def decoding(calibration):
    """Return what makes a SavedModel's answers by a calibration."""
    count = len(calibration.scale)
    classes = ("NO", "YES") if calibration.kind == "binary" else tuple("ABC"[:count])
    decoder = decoder_of(calibration.kind, classes, calibration)
    return lambda outputs: NETWORK.decode(outputs, decoder)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    model = classifier(channels=1)
    folder = saved_model.write(model, tmp_path_factory.mktemp("served") / "saved_model", decoding(PLATT))

    def ask(signature, instances):
        request = json.dumps({"signature_name": signature, "instances": instances})
        command = [sys.executable, "-c", SERVE, str(folder)]
        done = subprocess.run(command, input=request, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return model, ask


@pytest.mark.parametrize(
    "signature", ["serving_default", *(pytest.param(name, marks=pytest.mark.slow) for name in ("features", "pixels"))]
)
def test_images_are_answered_without_kmedtl_or_keras(served, signature):
    model, ask = served
    images = pictures(3, 0, 256)
    logits = model.predict(images.astype("float32"), verbose=0)["logits"]
    rows = ask(signature, images.tolist())
    np.testing.assert_allclose([row["logits"] for row in rows], logits, atol=1e-5)
    if signature == "serving_default":
        np.testing.assert_allclose([row["probabilities"] for row in rows], probabilities(logits, PLATT), atol=1e-5)
    else:
        extractor = keras.Model(model.input, model.get_layer("head_pool").output)
        np.testing.assert_allclose(
            [row["features"] for row in rows], extractor.predict(images.astype("float32"), verbose=0), atol=1e-5
        )


@pytest.mark.slow
def test_encoded_files_are_answered_as_read_image_reads_them(served, tmp_path):
    model, ask = served
    random, instances, expected = np.random.default_rng(5), [], []
    for name, mode, size in (("a.png", "L", (40, 33)), ("b.jpeg", "L", (64, 50)), ("c.png", "RGB", (SIZE, SIZE))):
        smooth = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8)).resize(size).convert(mode)
        smooth.save(tmp_path / name)
        expected.append(read_image(tmp_path / name, Reading(SIZE, 1)).pixels)
        instances.append({"b64": base64.b64encode((tmp_path / name).read_bytes()).decode()})
    rows = ask("from_bytes", instances)
    logits = model.predict(np.stack(expected).astype("float32"), verbose=0)["logits"]
    np.testing.assert_allclose([row["logits"] for row in rows], logits, atol=0.01)
    np.testing.assert_allclose([row["probabilities"] for row in rows], probabilities(logits, PLATT), atol=0.005)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration("temperature", "multi_label", (0.5, 2.0, 1.0), (0.0, 0.0, 0.0)),
        Calibration("vector", "multi_class", (0.5, 2.0, 1.0), (0.1, 0.0, -0.3)),
        Calibration("isotonic", "multi_label", (1.0,) * 3, (0.0,) * 3, (((-0.1, 0.2), (0.0, 0.4), (0.2, 0.9)),) * 3),
        Calibration(
            "isotonic", "multi_class", (1.0,) * 3, (0.0,) * 3, (((-1.0, 0.2), (-0.5, 0.7)),) * 2 + (((0.0, 0.4),),)
        ),
    ],
    ids=lambda calibration: f"{calibration.method}-{calibration.kind}",
)
def test_probabilities_are_those_of_the_calibration(calibration, tmp_path):
    folder = saved_model.write(classifier(findings=3), tmp_path / "saved_model", decoding(calibration))
    found = tf.saved_model.load(str(folder)).signatures["serving_default"](
        tf.constant(pictures(20, 0, 256), tf.float32)
    )
    expected = probabilities(found["logits"].numpy(), calibration)
    np.testing.assert_allclose(found["probabilities"].numpy(), expected, atol=1e-6)
