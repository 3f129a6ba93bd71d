"""Surfaces of 3-D masks, and the distances between them, against the authors' program and against geometry."""

import numpy as np
import pytest
import surface_distance

from kmedtl.statistics.overlap import dice, hausdorff95, lesions, outline_figures
from kmedtl.statistics.surfaces import surface_areas
from tests.statistics.test_overlap import blob, by_the_authors

SPACINGS = ((1.0, 1.0, 1.0), (2.5, 0.7, 0.7), (5.0, 0.5, 1.0))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_distances_of_surfaces_are_those_of_the_authors(spacing):
    random = np.random.default_rng(0)
    for smooth in (0.6, 1.0, 2.0, 4.0):
        reference, prediction = (blob(random, (20, 24, 18), share, smooth) for share in (0.2, 0.15))
        hd95, near = outline_figures(reference, prediction, 1.0, spacing)
        expected = by_the_authors(reference, prediction, 1.0, spacing)
        assert hd95 == pytest.approx(expected[0], abs=1e-6)
        assert near == pytest.approx(expected[1], abs=2e-3)  # which cuts polygons into triangles otherwise
        theirs = surface_distance.compute_surface_distances(reference, prediction, spacing)["surfel_areas_gt"].sum()
        assert surface_areas(reference, spacing).sum() == pytest.approx(theirs, rel=0.02)


def test_a_box_and_a_plate_by_hand():
    box = np.zeros((12, 12, 12), bool)
    box[2:10, 2:10, 2:10] = True
    sides = 6 * 64 - surface_areas(box, (1, 1, 1)).sum()
    assert 0 < sides < 0.15 * 6 * 64  # edges and corners are cut off
    plate = np.zeros((3, 40, 40), bool)
    plate[1] = True
    assert surface_areas(plate, (3.0, 0.5, 0.5)).sum() == pytest.approx(2 * 20 * 20 + 4 * 20 * 3, rel=0.15)
    moved = np.roll(box, 2, axis=0)
    assert hausdorff95(box, moved, (2.5, 1.0, 1.0)) == 5.0
    assert dice(box, moved) == 0.75


def test_parts_of_a_volume_go_through_slices():
    mask = np.zeros((4, 8, 8), bool)
    mask[0, 1, 1] = mask[1, 2, 2] = mask[3, 6, 6] = True
    assert lesions(mask, mask).lesions == 2
    assert hausdorff95(mask, np.zeros_like(mask), (3.0, 1.0, 1.0)) == pytest.approx(np.hypot(12, np.hypot(8, 8)))
