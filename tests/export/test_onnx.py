"""The extra `onnx`: the file answers as the model, and carries its document."""

import numpy as np
import pytest

from kmedtl.edge import model_info
from kmedtl.errors import UserError
from kmedtl.export.formats import write_all
from kmedtl.export.runtimes import keras_runtime, open_runtime
from tests.export.conftest import SIZE, pictures
from tests.models import decoder_of, info_of

INFO = info_of(decoder_of("binary", ("NO", "YES")), SIZE)


def test_an_onnx_file_answers_as_the_model_and_says_what_it_is(model, tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    native, path = write_all(model, tmp_path, None, ("onnx",))
    model_info.attach(INFO, path)
    assert model_info.read(path) == INFO
    images = pictures(40, 0, 256)
    expected, found = keras_runtime(native)(images), open_runtime(path)(images)
    assert set(found) == set(expected) == {"logits", "features"}
    for name, wanted in expected.items():
        np.testing.assert_allclose(found[name], wanted, atol=1e-5)


def test_what_is_no_onnx_file_is_refused(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match="not an ONNX model"):
        open_runtime(tmp_path / "model.onnx")
    with pytest.raises(UserError, match="no kmedtl model"):
        model_info.read(tmp_path / "model.onnx")
