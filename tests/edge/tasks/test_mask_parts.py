"""Parts of masks that are kept, and holes that are filled, of images and of volumes."""

import numpy as np
import pytest
from scipy import ndimage

from kmedtl.edge.tasks.mask_parts import holes, kept_parts, tidied


@pytest.mark.parametrize("shape", [(24, 28), (9, 16, 14)])
def test_holes_are_those_of_scipys_filling(shape):
    random = np.random.default_rng(len(shape))
    for density in (0.3, 0.6, 0.75):
        mask = ndimage.uniform_filter(random.random(shape), 3) < density * 0.75
        filled = ndimage.binary_fill_holes(mask)
        assert np.array_equal(mask | holes(mask), filled)
    assert not holes(np.zeros(shape, bool)).any()
    assert not holes(np.ones(shape, bool)).any()


def test_parts_touch_at_corners_and_holes_do_not_leak_there():
    ring = np.ones((5, 5), bool)
    ring[1:4, 1:4] = False
    ring[0, 0] = False  # outside touches inside at a corner alone
    assert holes(ring).sum() == 9
    two = np.zeros((6, 6), bool)
    two[:2, :2], two[2, 2], two[5, 5] = True, True, True
    assert kept_parts(two, largest=True).sum() == 5
    assert kept_parts(two, 2).sum() == 5
    assert np.array_equal(kept_parts(two), two)
    assert not kept_parts(two, 6, largest=True).any()
    assert not kept_parts(np.zeros((3, 3), bool), largest=True).any()


def test_each_structure_goes_by_its_own_rules_and_a_hole_is_filled_where_no_other_is():
    masks = np.zeros((8, 9, 9, 2), bool)
    masks[2:7, 1:8, 1:8, 0] = True
    masks[3:5, 3:6, 3:6] = False
    masks[3, 4, 4, 1] = True  # within the hole of the first
    masks[0, 0, 0] = True  # a speck of both
    found = tidied(masks, (5, 0), (False, False), (True, False))
    assert found[..., 0].sum() == 5 * 7 * 7 - 1
    assert not found[3, 4, 4, 0]
    assert np.array_equal(found[..., 1], masks[..., 1])
    assert tidied(masks, (0, 0), (False, True), (False, False))[..., 1].sum() == 1
