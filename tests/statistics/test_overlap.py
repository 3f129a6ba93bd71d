import math

import numpy as np
import pytest
import surface_distance
from scipy import ndimage
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from kmedtl.statistics.overlap import (
    Lesions,
    Matches,
    bounding_box,
    components,
    dice,
    hausdorff95,
    instances,
    iou,
    lesions,
    outline_figures,
    precision,
    recall,
    surface_dice,
)

SPACINGS = ((1.0, 1.0), (0.7, 0.7), (0.5, 2.0), (3.1, 0.4))


def blob(random, shape=(48, 40), share=0.2, smooth=3.0):
    """A mask of a few smooth patches, which may touch the border."""
    noise = ndimage.gaussian_filter(random.normal(size=shape), smooth)
    return noise > np.quantile(noise, 1 - share)


def mask_of(*rows):
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def one_pixel(row, column, shape=(20, 30)):
    mask = np.zeros(shape, bool)
    mask[row, column] = True
    return mask


def by_the_authors(reference, prediction, tolerance, spacing):
    found = surface_distance.compute_surface_distances(reference, prediction, spacing)
    return (
        surface_distance.compute_robust_hausdorff(found, 95),
        surface_distance.compute_surface_dice_at_tolerance(found, tolerance),
    )


def pairs():
    random = np.random.default_rng(0)
    for share, smooth in ((0.02, 1), (0.1, 2), (0.2, 4), (0.5, 0.6), (0.5, 6), (0.97, 2)):
        for _ in range(4):
            yield blob(random, share=share, smooth=smooth), blob(random, share=share * random.uniform(0.5, 1), smooth=2)
    near = blob(random, smooth=5)
    yield from ((near, near), (near, np.roll(near, 2, axis=1)), (near, ndimage.binary_dilation(near)))
    full = np.ones((20, 30), bool)
    for corner in ((0, 0), (0, 29), (19, 0), (19, 29), (7, 11)):
        yield one_pixel(*corner), one_pixel(9, 9)
        yield full, one_pixel(*corner)
        yield one_pixel(*corner), one_pixel(*corner)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_distances_of_outlines_are_those_of_the_authors(spacing):
    for reference, prediction in pairs():
        for tolerance in (0.0, spacing[0], 2.0):
            expected = by_the_authors(reference, prediction, tolerance, spacing)
            assert outline_figures(reference, prediction, tolerance, spacing) == pytest.approx(expected, abs=1e-6)
            assert surface_dice(reference, prediction, tolerance, spacing) == pytest.approx(expected[1], abs=1e-6)
        assert hausdorff95(reference, prediction, spacing) == pytest.approx(expected[0], abs=1e-6)


def test_distances_of_two_pixels_by_hand():
    assert hausdorff95(one_pixel(5, 3), one_pixel(5, 13), (1, 0.5)) == 5
    assert surface_dice(one_pixel(5, 3), one_pixel(5, 13), 4.4, (1, 0.5)) == 0
    assert surface_dice(one_pixel(5, 3), one_pixel(5, 13), 4.5, (1, 0.5)) == 0.5  # the sides that face each other


def test_overlap_is_that_of_scikit_learn():
    random = np.random.default_rng(1)
    for _ in range(20):
        reference, prediction = blob(random), blob(random, share=0.4)
        flat = reference.ravel(), prediction.ravel()
        assert dice(reference, prediction) == pytest.approx(f1_score(*flat))
        assert iou(reference, prediction) == pytest.approx(jaccard_score(*flat))
        assert precision(reference, prediction) == pytest.approx(precision_score(*flat))
        assert recall(reference, prediction) == pytest.approx(recall_score(*flat))


def test_an_empty_prediction_misses_all():
    there, empty = one_pixel(3, 3), np.zeros((20, 30), bool)
    assert [figure(there, empty) for figure in (dice, iou, precision, recall)] == [0, 0, 0, 0]
    assert hausdorff95(there, empty, (2, 0.5)) == math.hypot(40, 15)
    assert surface_dice(there, empty, 100, (2, 0.5)) == 0
    assert lesions(there, empty) == Lesions(1, 0, 0, 0)
    assert instances(components(there), components(empty)) == Matches(0, 0, 1)


def test_an_empty_reference_has_no_overlap_to_tell():
    there, empty = one_pixel(3, 3), np.zeros((20, 30), bool)
    for prediction in (there, empty):
        assert all(math.isnan(figure(empty, prediction)) for figure in (dice, iou, recall))
        assert all(math.isnan(figure) for figure in outline_figures(empty, prediction, 1, (1, 1)))
    assert precision(empty, there) == 0
    assert math.isnan(precision(empty, empty))
    assert lesions(empty, there) == Lesions(0, 0, 1, 1)
    assert lesions(empty, empty) == Lesions(0, 0, 0, 0)
    assert instances(components(empty), components(there)) == Matches(0, 1, 0)


def test_the_bounding_box_holds_all_of_a_mask():
    random = np.random.default_rng(2)
    for _ in range(10):
        mask = blob(random, share=0.02)
        box = bounding_box(mask)
        assert mask[box].sum() == mask.sum()
        assert all(edge.any() for edge in (mask[box][0], mask[box][-1], mask[box][:, 0], mask[box][:, -1]))
    assert np.zeros((4, 5), bool)[bounding_box(np.zeros((4, 5), bool))].size == 0


def test_pixels_that_touch_by_a_corner_are_one_component():
    labels = components(mask_of("#...", ".#..", "...#"))
    assert labels.max() == 2
    assert labels[0, 0] == labels[1, 1] != labels[2, 3]


def test_a_lesion_counts_as_found_from_a_tenth_of_its_pixels_on():
    reference = np.zeros((12, 40), bool)
    reference[0, :30] = True  # 3 of 30 pixels predicted
    reference[4, :30] = True  # 2 of 30
    reference[8, :4] = True  # all
    prediction = np.zeros_like(reference)
    prediction[0, :3] = prediction[4, :2] = prediction[8, :4] = True
    prediction[10, 20:30] = prediction[6, 35] = True  # on no lesion
    assert lesions(reference, prediction) == Lesions(3, 2, 5, 2)
    assert lesions(reference, prediction, share=0.5) == Lesions(3, 1, 5, 2)


def test_a_component_that_hardly_touches_a_lesion_is_a_false_positive():
    reference, prediction = np.zeros((2, 5, 40), bool)
    reference[2, :2], prediction[2, :21] = True, True
    assert lesions(reference, prediction) == Lesions(1, 1, 1, 1)  # 2 of its 21 pixels


def test_instances_match_above_half():
    reference = np.zeros((10, 30), int)
    reference[0, :9], reference[2, :9], reference[4, :9], reference[6, :9] = 7, 1, 2, 40
    prediction = np.zeros_like(reference)
    prediction[0, :5] = 3  # 5 of 9
    prediction[2, :4] = 9  # 4 of 9
    prediction[4, 3:12] = 5  # 6 of 12: not above half
    prediction[8, :9] = 6
    assert instances(reference, prediction) == Matches(1, 3, 3)
    assert instances(reference, prediction, above=0.6) == Matches(0, 4, 4)
    assert instances(reference, reference) == Matches(4, 0, 0)


def test_instances_are_those_of_all_pairs_tried():
    random = np.random.default_rng(3)
    for _ in range(10):
        reference = components(blob(random, share=0.3, smooth=1.5))
        prediction = components((reference > 0) ^ (random.random(reference.shape) < 0.06))
        known, drawn = range(1, reference.max() + 1), range(1, prediction.max() + 1)
        overlaps = [iou(reference == one, prediction == other) for one in known for other in drawn]
        matched = sum(overlap > 0.5 for overlap in overlaps)
        assert matched > 0
        assert instances(reference, prediction) == Matches(matched, len(drawn) - matched, len(known) - matched)
