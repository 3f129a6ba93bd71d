"""The gate of an update, by numbers alone."""

import math

import pytest

from kmedtl.runs.update.gate import Change, is_accepted
from kmedtl.statistics.confidence import Estimate, undefined

NOBODY = undefined("nobody is ill")


def change(gain, above=-0.005, images=400, **more):
    own = Estimate(0.9, 0.85, 0.95, "by hand")
    return Change(
        "auc", images, own, own, Estimate(*gain, "by hand") if isinstance(gain, tuple) else gain, above, **more
    )


@pytest.mark.parametrize(
    ("gain", "above", "verdict"),
    [
        ((0.0, -0.004, 0.004), -0.005, "shown"),
        ((-0.003, -0.004, -0.002), -0.005, "shown"),  # a loss for certain, of less than was allowed
        ((0.0, -0.005, 0.005), -0.005, "not shown"),  # the bound itself is not above it
        ((0.03, -0.02, 0.08), -0.005, "not shown"),
        ((-0.02, -0.03, -0.006), -0.005, "worse"),
        ((0.01, 0.001, 0.02), 0.0, "shown"),
        ((0.0, 0.0, 0.0), 0.0, "not shown"),  # what learned nothing is no update
        ((-0.02, -0.03, -0.01), 0.0, "worse"),
        (NOBODY, 0.0, "not shown"),
    ],
)
def test_the_whole_interval_decides(gain, above, verdict):
    assert change(gain, above).verdict == verdict


def test_both_tests_must_show_it():
    kept, forgot, learned, idle = (
        change(*each)
        for each in (
            ((0.0, -0.004, 0.004),),
            ((-0.02, -0.03, -0.01),),
            ((0.02, 0.01, 0.03), 0.0),
            ((0.0, -0.01, 0.01), 0.0),
        )
    )
    assert is_accepted({"old": kept, "new": learned})
    assert not is_accepted({"old": forgot, "new": learned})
    assert not is_accepted({"old": kept, "new": idle})


def test_what_is_not_shown_says_how_many_images_might_show_it():
    close = change((0.005, -0.015, 0.025))
    assert close.needed == math.ceil(400 * (0.02 / 0.01) ** 2)  # half of the interval is to be as wide as the room
    assert "not shown by 400 images, about 1600 might do" in str(close)
    hopeless = change((-0.006, -0.02, 0.008))
    assert hopeless.needed is None
    assert "more of them would not do" in str(hopeless)
    assert "cannot tell it (nobody is ill)" in str(change(NOBODY))


def test_a_loss_that_was_allowed_and_classes_that_were_lent_are_said():
    fell = change((-0.003, -0.004, -0.002))
    assert str(fell).endswith("asked for above -0.005: shown; it fell, by less than was allowed")
    lent = change((0.02, 0.01, 0.03), 0.0, lent=("NORMAL",))
    assert "no new image shows NORMAL" in str(lent)
    assert "it fell" not in str(lent)
    assert fell.document()["verdict"] == "shown"
