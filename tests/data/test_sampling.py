import numpy as np
import pandas as pd
import pytest

from kmedtl.data.sampling import balanced, strata_of


@pytest.mark.parametrize("counts", [(90, 9, 1), (5, 5), (7,), (1, 2, 3, 4)])
def test_each_stratum_is_drawn_as_often_and_none_twice_before_all_once(counts):
    strata = np.repeat(np.arange(len(counts)), counts)
    drawn = balanced(strata, np.random.default_rng(0))
    assert len(drawn) == len(strata)
    of_strata = np.bincount(strata[drawn], minlength=len(counts))
    assert of_strata.max() - of_strata.min() <= 1
    for kind, count in enumerate(counts):
        times = np.bincount(drawn, minlength=len(strata))[strata == kind]
        assert times.max() - times.min() <= 1, count


def test_an_epoch_follows_from_its_seed():
    strata = np.repeat([0, 1], [30, 3])
    one, same, other = (balanced(strata, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_nothing_is_balanced_unless_asked():
    table = pd.DataFrame({"stratum": [0, 1]})
    assert strata_of(table, "natural") is None
    assert strata_of(table, "balanced").tolist() == [0, 1]
