import numpy as np
import pytest

from tests.statistics.coverage import everything


@pytest.mark.slow
def test_every_interval_holds_the_truth_however_few_the_patients():
    """93 % from 10 patients on and 90 % below, less three standard errors of the draws: 700 cells are looked at."""
    found = everything(60, 60)
    found = found[found["told"] >= 50]
    least = np.where(found["patients"] >= 10, 0.93, 0.90)
    allowed = least - 3 * np.sqrt(least * (1 - least) / found["told"])
    short = found[found["held"] / found["told"] < allowed]
    assert short.empty, short.to_string()
    assert len(found) > 500
