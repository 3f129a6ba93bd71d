import random

import keras
import numpy as np
import pytest
from tensorflow.python.framework import config

from kmedtl.finetune.determinism import deterministic


@pytest.fixture(autouse=True)
def as_a_process_begins():
    before = config.is_op_determinism_enabled()
    config.disable_op_determinism()
    yield
    if before:
        config.enable_op_determinism()


@deterministic()
def fail_meanwhile():
    assert config.is_op_determinism_enabled()
    keras.utils.set_random_seed(7)
    raise ZeroDivisionError


def test_global_state_is_put_back_even_after_an_error():
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    with pytest.raises(ZeroDivisionError):
        fail_meanwhile()
    assert not config.is_op_determinism_enabled()
    assert (random.random(), np.random.random()) == expected


def test_what_was_deterministic_stays_so():
    with deterministic():
        with deterministic():
            pass
        assert config.is_op_determinism_enabled()
