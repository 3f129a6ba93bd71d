import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from kmedtl.errors import UserError
from kmedtl.finetune.distribution import devices
from kmedtl.recipe import Training


@pytest.mark.slow
def test_two_processors_learn_what_one_learns():
    # As a module from the repository's root: installed packages bring a `tests` of their own.
    command = [sys.executable, "-m", "tests.finetune.two_processors"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["used"] == [1, 2]
    assert found["moved"] > 1e-4
    assert found["apart"] <= 1e-5


def test_several_workers_are_refused_with_what_scales_out(monkeypatch):
    with pytest.raises(UserError, match=r"training.strategy: .*Keras 3 does not .*folds \(--folds\)"):
        Training(strategy="multi_worker")
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}}))
    with pytest.raises(UserError, match=r"TF_CONFIG is set.*--folds"), devices(Training()):
        pass


def test_a_missing_tpu_is_named():
    with pytest.raises(UserError, match="no TPU was found"), devices(Training(strategy="tpu")):
        pass


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_layers_compute_in_the_precision_and_keep_their_weights_in_float32(precision):
    with devices(Training(precision=precision)):
        layer = keras.layers.Dense(2)
        assert layer(tf.ones((1, 3))).dtype == precision
        assert layer.kernel.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
