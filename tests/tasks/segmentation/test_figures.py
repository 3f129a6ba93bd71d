import math
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from kmedtl.edge.tasks.mask_decoder import MIDDLE
from kmedtl.statistics import overlap
from kmedtl.statistics.confidence import mean_patients, of_mean, on_logit_scale, wilson
from kmedtl.statistics.risk_control import controlled_threshold
from kmedtl.tasks.segmentation.choose import SMALLEST, choose_parts, choose_smallest, choose_threshold, miss_shares
from kmedtl.tasks.segmentation.figures import dice_gain, evaluation_of, image_figures

SIDE = 32
STRUCTURES = ("lung", "heart")
MEANS = ("dice", "iou", "precision", "recall", "hd95", "surface_dice")


def smooth(random, count, sigma=2.0):
    """Noise of standard deviation 1 in patches, (N, H, W)."""
    noise = ndimage.gaussian_filter(random.normal(size=(count, SIDE, SIDE)), (0, sigma, sigma))
    return noise / noise.std()


def drawn(random, count, error=0.5, absent=0.3):
    """Reference, bool, and levels, uint8, (N, H, W): some references are empty, and levels are wrong in patches."""
    truth = smooth(random, count) - 1.2 - 3 * (random.random((count, 1, 1)) < absent)
    chance = 1 / (1 + np.exp(-4 * (truth + error * smooth(random, count, 1))))
    return truth > 0, np.round(255 * chance).astype(np.uint8)


def of_structures(random, count, **options):
    """Reference and prediction, bool (N, H, W, M)."""
    parts = [drawn(random, count, **options) for _ in STRUCTURES]
    return np.stack([known for known, _ in parts], -1), np.stack([levels > MIDDLE for _, levels in parts], -1)


def table_of(reference, predicted, structures=STRUCTURES, tolerance=1.0):
    return image_figures(reference, predicted, structures, np.ones((len(reference), 2)), tolerance)


def discs(random, count, side):
    """Masks of one disc each, (N, H, W, 1)."""
    rows, columns = np.mgrid[:side, :side]
    center, radius = random.uniform(side / 4, 3 * side / 4, (2, count, 1, 1)), random.uniform(8, 30, (count, 1, 1))
    return (np.hypot(rows - center[0], columns - center[1]) < radius)[..., None]


@pytest.fixture(scope="module")
def masks():
    return of_structures(np.random.default_rng(0), 60)


@pytest.fixture(scope="module")
def table(masks):
    return table_of(*masks)


@pytest.fixture(scope="module")
def patients():
    return np.repeat([f"patient {number}" for number in range(20)], [1, 2, 3, 6] * 5)


def test_figures_of_an_image_are_those_of_its_whole_masks():
    random = np.random.default_rng(1)
    reference, predicted = of_structures(random, 12)
    pixel = random.uniform(0.3, 2, (12, 2))
    table = image_figures(reference, predicted, STRUCTURES, pixel, 1.5)
    assert table["image"].tolist() == np.repeat(np.arange(12), 2).tolist()
    assert table["structure"].tolist() == list(STRUCTURES) * 12
    for row in table.itertuples():
        pair = [masks[row.image, ..., STRUCTURES.index(row.structure)] for masks in (reference, predicted)]
        spacing = tuple(pixel[row.image])
        expected = [getattr(overlap, name)(*pair) for name in ("dice", "iou", "precision", "recall")]
        expected += [overlap.hausdorff95(*pair, spacing), overlap.surface_dice(*pair, 1.5, spacing)]
        assert [getattr(row, name) for name in MEANS] == pytest.approx(expected, nan_ok=True)
        counts = overlap.Lesions(row.lesions, row.lesions_found, row.components, row.false_positives)
        assert counts == overlap.lesions(*pair)
        matches = overlap.Matches(row.instances_tp, row.instances_fp, row.instances_fn)
        assert matches == overlap.instances(*map(overlap.components, pair))
        assert [row.reference, row.predicted] == [mask.sum() for mask in pair]
        areas = [mask.sum() * math.prod(spacing) for mask in pair]
        assert [row.area_reference, row.area_predicted] == pytest.approx(areas)
    assert {0} < set(table["reference"])


def test_a_missed_structure_is_as_far_as_the_image_is_wide():
    reference = np.zeros((1, 30, 40, 1), bool)
    reference[0, 3, 3] = True
    row = image_figures(reference, np.zeros_like(reference), ["mole"], np.array([[2.0, 0.5]]), 3.0).iloc[0]
    assert row["hd95"] == math.hypot(60, 20)
    assert row[["dice", "precision", "surface_dice", "lesions_found", "predicted"]].tolist() == [0] * 5
    assert row["lesions"] == row["instances_fn"] == 1


@pytest.mark.slow
def test_five_hundred_images_take_seconds():
    random = np.random.default_rng(2)
    reference = discs(random, 500, 192)
    predicted = np.roll(reference, (4, 3), axis=(1, 2))
    began = time.perf_counter()
    table = image_figures(reference, predicted, ["lesion"], np.ones((500, 2)), 2.0)
    assert time.perf_counter() - began < 5
    assert (table["lesions_found"] == 1).all()


def test_means_are_over_masks_whose_reference_is_not_empty(table, patients):
    found = evaluation_of(table, patients, STRUCTURES)
    known = table[table["reference"] > 0]
    assert 20 < len(known) < len(table)
    for name in MEANS:
        assert found.estimates[name].value == pytest.approx(known[name].mean())
        assert found.estimates[name].low < found.estimates[name].value < found.estimates[name].high
    assert found.headline == "dice"
    assert (found.images, found.patients) == (60, 20)
    assert found.estimates["dice"] == of_mean(known["dice"].to_numpy(), patients[known["image"]])
    assert found.tables["images"] is table


def test_counts_are_over_all_images_together(table, patients):
    found = evaluation_of(table, patients, STRUCTURES).estimates
    total = table.sum(numeric_only=True)
    assert found["lesion_sensitivity"].value == pytest.approx(total["lesions_found"] / total["lesions"])
    assert found["false_positives"].value == pytest.approx(total["false_positives"] / 60)
    hits, misses = 2 * total["instances_tp"], total["instances_fp"] + total["instances_fn"]
    assert found["instance_f1"].value == pytest.approx(hits / (hits + misses))
    assert 0 < found["instance_f1"].low < hits / (hits + misses) < found["instance_f1"].high < 1


def test_the_interval_of_a_ratio_is_that_of_leaving_patients_out(table, patients):
    counts = table.groupby(patients[table["image"]])[["instances_tp", "instances_fp", "instances_fn"]].sum()
    hits, misses = 2 * counts["instances_tp"], counts["instances_fp"] + counts["instances_fn"]
    ratio = hits.sum() / (hits + misses).sum()
    without = (hits.sum() - hits) / ((hits + misses).sum() - hits - misses)
    people = len(counts)
    moved = (without - ratio) * math.sqrt(1 - 1 / people)
    variance = float((moved**2).sum())
    noise = float((moved**4).sum()) - variance**2 / people
    spread = variance, min(2 * variance**2 / noise, people - 1)
    found = evaluation_of(table, patients, STRUCTURES).estimates["instance_f1"]
    expected = on_logit_scale(ratio, spread, mean_patients([people]), "jackknife by patient")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_lesion_counts_as_an_answer_of_its_patient(table, patients):
    found = evaluation_of(table, patients, STRUCTURES).estimates["lesion_sensitivity"]
    hits = [
        (number < row.lesions_found, patients[row.image]) for row in table.itertuples() for number in range(row.lesions)
    ]
    expected = wilson(np.array([hit for hit, _ in hits]), np.array([patient for _, patient in hits]))
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_the_same_images_twice_narrow_no_interval(table, patients):
    twice = pd.concat([table, table.assign(image=table["image"] + 60)])
    once, again = (
        evaluation_of(rows, owners, STRUCTURES).estimates
        for rows, owners in ((table, patients), (twice, np.tile(patients, 2)))
    )
    for name, estimate in once.items():
        assert again[name].value == pytest.approx(estimate.value)
        assert again[name].high - again[name].low >= 0.9 * (estimate.high - estimate.low)


def test_each_structure_has_figures_of_its_own(table, patients):
    found = evaluation_of(table, patients, STRUCTURES)
    assert list(found.by) == list(STRUCTURES)
    for name, estimates in found.by.items():
        rows = table[table["structure"] == name]
        assert list(estimates) == list(found.estimates)
        assert estimates["dice"].value == pytest.approx(rows["dice"].mean())
        assert estimates["false_positives"].value == pytest.approx(rows["false_positives"].mean())
        assert estimates == evaluation_of(rows, patients, [name]).estimates
    assert evaluation_of(rows, patients, [name]).by == {}


def test_empty_masks_are_counted(masks, table, patients):
    counts = evaluation_of(table, patients, STRUCTURES).tables["empty"].set_index("structure")
    assert counts.index.tolist() == list(STRUCTURES)
    assert (counts.sum(axis=1) == 60).all()
    known, called = (part.any(axis=(1, 2)) for part in masks)
    for column, name in enumerate(STRUCTURES):
        kinds = pd.crosstab(known[:, column], called[:, column])
        assert counts.loc[name, "both_empty"] == kinds.at[False, False]
        assert counts.loc[name, "only_reference_empty"] == kinds.get(True, pd.Series(dtype=int)).get(False, 0)
        assert counts.loc[name, "only_prediction_empty"] == kinds.at[True, False]
        assert counts.loc[name, "neither_empty"] == kinds.at[True, True]


def test_what_no_image_has_cannot_be_judged():
    reference = np.zeros((6, SIDE, SIDE, 1), bool)
    predicted = np.zeros_like(reference)
    predicted[0, 3:6, 3:6] = True
    owners = np.arange(6)
    found = evaluation_of(table_of(reference, predicted, ["mole"]), owners, ["mole"])
    for name in (*MEANS, "lesion_sensitivity"):
        assert math.isnan(found.estimates[name].value)
        assert found.estimates[name].method == "no image has any of it"
    assert found.estimates["false_positives"].value == pytest.approx(1 / 6)
    assert found.estimates["instance_f1"].value == 0
    assert found.tables["empty"].iloc[0].tolist() == ["mole", 5, 1, 0, 0]
    nothing = evaluation_of(table_of(reference, reference, ["mole"]), owners, ["mole"]).estimates
    assert nothing["instance_f1"].method == "no instance to count"
    table = table_of(reference, predicted, ["mole"])
    assert math.isnan(dice_gain(table, [table], owners).value)


def test_no_false_positive_may_still_be_one_in_a_few_patients():
    reference = discs(np.random.default_rng(3), 30, 64)
    found = evaluation_of(table_of(reference, reference, ["lesion"]), np.repeat(np.arange(10), 3), ["lesion"])
    estimate = found.estimates["false_positives"]
    assert (estimate.value, estimate.low) == (0, 0)
    assert math.exp(-10 * estimate.high) == pytest.approx(0.025)
    assert found.estimates["dice"].value == 1
    assert found.estimates["dice"].low < 0.8


def test_a_gain_is_paired_by_image(masks, table, patients):
    reference, predicted = masks
    worse = [table_of(reference, np.roll(predicted, shift, axis=1)) for shift in (1, 2)]
    found = dice_gain(table, worse, patients)
    known = table["reference"] > 0
    expected = table["dice"][known].mean() - np.mean([other["dice"][known].mean() for other in worse])
    assert found.value == pytest.approx(expected)
    assert 0 < found.low < found.value < found.high
    alone = of_mean(table["dice"][known].to_numpy(), patients[table["image"][known]])
    assert found.high - found.low < alone.high - alone.low
    back = dice_gain(worse[0], [table], patients)
    assert back.high < 0
    assert dice_gain(table, [table, table], patients).high == 0
    steady = dice_gain(table, [table.assign(dice=table["dice"] - 0.25)], np.arange(60))
    assert steady.low == pytest.approx(0.25 - (1 - 0.025 ** (1 / len(set(table["image"][known])))))
    single = dice_gain(table, worse, np.zeros(60))
    assert (single.low, single.high) == (-1, 1)


def test_the_interval_of_a_gain_holds_the_true_one():
    random = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        owners = np.repeat(np.arange(25), random.integers(1, 5, 25))
        gains = 0.03 + 0.04 * random.normal(size=25)[owners] + 0.04 * random.normal(size=len(owners))
        ours, theirs = (
            pd.DataFrame({"image": np.arange(len(owners)), "reference": 1, "dice": 0.6 + part})
            for part in (gains / 2, -gains / 2)
        )
        found = dice_gain(ours, [theirs], owners)
        held += found.low <= 0.03 <= found.high
    assert 0.925 <= held / 400 <= 0.99


def mean_dice(reference, called):
    return np.mean([overlap.dice(*pair) for pair in zip(reference, called, strict=True) if pair[0].any()])


def test_the_threshold_is_that_of_trying_all():
    random = np.random.default_rng(5)
    for error in (0.3, 1.0):
        reference, levels = drawn(random, 15, error, absent=0)
        scores = [mean_dice(reference, levels > level) for level in range(255)]
        chosen = choose_threshold(reference, levels)
        assert scores[chosen] == pytest.approx(max(scores))
        best = np.flatnonzero(np.isclose(scores, max(scores), rtol=0, atol=1e-12))
        assert abs(chosen - MIDDLE) == np.abs(best - MIDDLE).min()


def test_among_thresholds_as_good_the_one_that_calls_least_where_nothing_is():
    reference, levels = drawn(np.random.default_rng(6), 40, 1.5, absent=0.5)
    known = reference.any(axis=(1, 2))
    scores = np.array([mean_dice(reference, levels > level) for level in range(255)])
    called = np.array([(levels[~known] > level).sum() for level in range(255)])
    near = scores >= scores.max() - 0.002
    chosen = choose_threshold(reference, levels)
    assert near[chosen]
    assert called[chosen] == called[near].min() < called[scores.argmax()]
    levels[~known] = 0  # now none calls anything there
    assert mean_dice(reference, levels > choose_threshold(reference, levels)) == pytest.approx(scores.max())


def test_the_threshold_stays_in_the_middle_where_nothing_tells():
    reference, levels = np.zeros((2, 4, SIDE, SIDE), np.uint8)
    assert choose_threshold(reference > 0, levels) == MIDDLE
    reference[:, 4:9, 4:9] = levels[:, 4:9, 4:9] = 200
    assert choose_threshold(reference > 0, levels) == MIDDLE
    levels[:, 4:9, 4:9] = 90
    assert choose_threshold(reference > 0, levels) == 89
    levels[:, 4:9, 4:9], levels[:, :2] = 255, 254
    assert choose_threshold(reference > 0, levels) == 254


def kept(called, smallest):
    """The mask without its 8-connected components of fewer pixels."""
    labels, count = ndimage.label(called, structure=np.ones((3, 3)))
    return np.isin(labels, [one for one in range(1, count + 1) if (labels == one).sum() >= smallest])


def test_what_was_chosen_before_stays_where_it_is_as_good():
    random = np.random.default_rng(5)
    reference = np.zeros((6, 24, 24), bool)
    reference[:, 6:16, 8:18] = True
    levels = np.clip(np.where(reference, 170, 80) + random.normal(0, 25, reference.shape), 0, 255).astype(np.uint8)
    best = choose_threshold(reference, levels)
    scores = np.array([mean_dice(reference, levels > level) for level in range(255)])
    near = int(next(level for level in np.flatnonzero(scores >= scores.max() - 0.002) if level != best))
    worse = int(np.argmin(scores))
    assert choose_threshold(reference, levels, near) == near
    assert choose_threshold(reference, levels, worse) == best
    assert choose_smallest(reference, reference, 32) == 32
    assert choose_smallest(reference, reference, 256) == 0  # which would drop every part


def test_the_smallest_component_is_that_of_trying_all():
    random = np.random.default_rng(7)
    for noise in (0.002, 0.02):
        reference, levels = drawn(random, 25, 0.6, absent=0.4)
        called = (levels > MIDDLE) | ndimage.binary_dilation(random.random(levels.shape) < noise, np.ones((1, 3, 3)))
        scores = [
            np.mean(
                [
                    overlap.dice(known, left) if known.any() else float(not left.any())
                    for known, left in zip(reference, (kept(mask, smallest) for mask in called), strict=True)
                ]
            )
            for smallest in SMALLEST
        ]
        assert SMALLEST[int(np.argmax(scores))] == choose_smallest(reference, called) > 0


def test_nothing_is_dropped_where_that_helps_nothing():
    reference = np.zeros((3, SIDE, SIDE), bool)
    reference[:, 2:4, 2:4] = True
    assert choose_smallest(reference, reference) == 0
    assert choose_smallest(reference, np.zeros_like(reference)) == 0
    assert choose_smallest(np.zeros_like(reference), reference) == 0  # which tells nothing of real parts


def test_one_part_is_kept_and_holes_are_filled_where_validation_gains():
    reference = np.zeros((4, SIDE, SIDE), bool)
    reference[:, 2:10, 2:10] = True
    hole, second = reference.copy(), reference.copy()
    hole[:, 5:7, 5:7] = False
    second[:, 12:15, 12:15] = True
    assert choose_parts(reference, hole) == (False, True)
    assert choose_parts(reference, second) == (True, False)
    both = second.copy()
    both[:, 5:7, 5:7] = False
    assert choose_parts(reference, both) == (True, True)
    assert choose_parts(reference, reference) == (False, False)
    assert choose_parts(second, second) == (False, False)  # two parts are true
    assert choose_parts(hole, hole) == (False, False)  # and so is a hole
    assert choose_parts(reference, reference, (True, True)) == (True, True)  # known before, and as good
    assert choose_parts(np.zeros_like(reference), second) == (False, False)
    few = reference.copy()
    few[0, 5, 5] = False
    assert choose_parts(reference, few) == (False, False)  # a gain below 0.002


def test_miss_shares_are_those_of_each_patients_pixels():
    random = np.random.default_rng(8)
    reference, levels = drawn(random, 20, 1.0)
    reference[5:8] = False
    patients = np.array(["c", "a", "a", "c", "c", "healthy", "healthy", "a", *["b"] * 12], object)
    shares = miss_shares(reference, levels, patients)
    assert shares.shape == (3, 255)
    for row, name in enumerate(("c", "a", "b")):
        mine = levels[patients == name][reference[patients == name]]
        assert shares[row] == pytest.approx([np.mean(mine <= level) for level in range(255)])
    assert (np.diff(shares) >= 0).all()


def test_a_controlled_threshold_misses_of_further_patients_what_was_promised():
    random = np.random.default_rng(9)
    reference, levels = drawn(random, 300, 1.0, absent=0)
    shares = miss_shares(reference, levels, np.arange(300))
    missed = []
    for _ in range(200):
        order = random.permutation(len(shares))
        missed.append(shares[order[60:], controlled_threshold(shares[order[:60]], 0.1)].mean())
    assert 0.1 - 2 / 61 - 0.01 < np.mean(missed) < 0.1 + 3 * np.std(missed) / math.sqrt(200)


def test_figures_need_no_keras():
    heavy = "{'tensorflow', 'keras', 'sklearn', 'matplotlib'}"
    check = f"import sys, kmedtl.tasks.segmentation.figures; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
