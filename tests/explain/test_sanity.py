import numpy as np
import pytest
from scipy.stats import spearmanr

from kmedtl.explain.methods import METHODS
from kmedtl.explain.sanity import rank_correlation, sanity
from tests.explain.conftest import BLOCKS, planted
from tests.models import WHICH


def edges(model, images, which, fields=None):
    """A map that ignores the model."""
    down, across = np.gradient(images[..., 0].astype(np.float32), axis=(1, 2))
    return np.hypot(down, across)


@pytest.mark.parametrize("name", ["grad_cam", "occlusion"])
def test_maps_of_what_was_learned_change_with_it(name, finder):
    images, _, _ = planted(12, seed=1)
    before = finder.get_weights()
    found = sanity(finder, BLOCKS, images[1::2], WHICH, METHODS[name], seed=0)
    assert list(found.similarity) == ["head", "head and last block", "all"]
    assert found.passed
    assert "NOT" not in str(found)
    for weight, same in zip(finder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)
    assert found == sanity(finder, BLOCKS, images[1::2], WHICH, METHODS[name], seed=0)


def test_maps_that_ignore_the_model_fail(finder):
    found = sanity(finder, BLOCKS, planted(4, seed=1)[0], WHICH, edges, seed=0)
    assert set(found.similarity.values()) == {1.0}
    assert not found.passed
    assert "do NOT depend" in str(found)


def test_rank_correlation_is_scipys():
    random = np.random.default_rng(0)
    a, b = random.integers(0, 5, (2, 30, 30))
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic)
    assert rank_correlation(a, a) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.ones((30, 30))) == 0
