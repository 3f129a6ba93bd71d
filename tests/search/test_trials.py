"""Trials one after another in one process."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.search.conftest import searched


@pytest.mark.slow
def test_a_trial_finds_the_same_on_the_backbone_of_another_as_on_its_own(tmp_path):
    from kmedtl.search.development import development
    from kmedtl.search.trials import Job, carry_out

    def logits(job):
        keras.utils.clear_session()
        return carry_out(job).outputs[0]["logits"]

    first = Job(searched(), development(searched()), "head", tmp_path / "features", tmp_path / "trial")
    other = replace(first, recipe=searched("head.kind=mlp", "head.hidden=32", "stages.0.lr=1e-3"))
    elsewhere = replace(first, recipe=searched("seed=8"))  # another backbone takes the place of the shared one
    alone, between, again = logits(first), logits(other), logits(first)
    np.testing.assert_allclose(again, alone, atol=1e-5)
    assert np.abs(between - alone).max() > 1e-3
    logits(elsewhere)
    np.testing.assert_allclose(logits(other), between, atol=1e-5)
