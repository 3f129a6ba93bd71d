"""What a segmentation asks of images, refuses, keeps and shows."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.cli import main
from kmedtl.data.manifest import SIZES, SPACINGS, from_rows
from kmedtl.edge.tasks.mask_decoder import HIGHEST, plain
from kmedtl.edge.tasks.segmentation import MASK, called, levels_of, logits_of, place
from kmedtl.errors import UserError
from kmedtl.images.placement import placement
from kmedtl.recipe import Backbone, Classification, Data, Evaluation, Head, Recipe, Segmentation, Stage, Training
from kmedtl.runner import run
from kmedtl.tasks import TASKS
from kmedtl.tasks.segmentation.cases import PREDICTED, REFERENCE
from kmedtl.tasks.segmentation.question import MaskQuestion
from kmedtl.tasks.task import Examples
from tests.tasks.rows import ROWS

ROW = TASKS["segmentation"]
QUESTION = MaskQuestion(("lesion",), 2.0, "keep")
LOSSES = ("dice_crossentropy", "dice", "crossentropy", "focal", "tversky")


def examples(reference, logits, width=32, height=32, patients=None, spacing=(0.0, 0.0)):
    """Return examples of masks (N, h, w) and logits likewise, of one structure."""
    ids = np.array([f"{number}.png" for number in range(len(reference))], object)
    table = pd.DataFrame(dict(zip(SIZES, ([width] * len(ids), [height] * len(ids)), strict=True)))
    table = table.assign(**dict(zip(SPACINGS, spacing, strict=True)))
    owners = ids if patients is None else np.array(patients, object)
    targets = {MASK: np.asarray(reference, np.uint8)[..., None]}
    return Examples(ids, owners, targets, {MASK: np.asarray(logits, np.float32)[..., None]}, table)


def squares(count, size=32):
    """Return masks with a square each, and logits that find it, a little shifted."""
    masks, logits = np.zeros((count, size, size), bool), np.full((count, size, size), -6.0)
    for number in range(count):
        start = 4 + number % 8
        masks[number, start : start + 12, 8:20] = True
        logits[number, start + 1 : start + 13, 8:20] = 6.0
    return masks, logits


def test_images_without_any_mask_are_refused_with_where_masks_are_looked_for():
    rows = [{"id": f"{n}", "path": f"/{n}.png", "patient": f"{n}", "label": "ab"[n % 2]} for n in range(4)]
    with pytest.raises(UserError, match=r"films: no image has a mask; expected NAME_mask.png beside NAME.png"):
        ROW.ask(Segmentation(), Data(), from_rows(rows, ("a", "b"), "films"))


@pytest.mark.parametrize("patients", [1, 3])
def test_classes_balance_splits_where_each_has_patients_enough(patients):
    rows = [
        {"id": f"{name}{n}", "path": f"/{name}{n}", "patient": f"{name}{n}", "label": name, "mask": "/m"}
        for name, count in (("a", patients), ("b", 4))
        for n in range(count)
    ]
    table = ROW.ask(Segmentation(), Data(), from_rows(rows, ("a", "b"), "films"))[1].table
    assert list(table["label"]) == [row["label"] for row in rows]
    assert table["stratum"].nunique() == (2 if patients == 3 else 1)


def masked(root, count=8, side=40, large=()):
    """Write images with a mask each; those of `large` have twice their image's size."""
    root.mkdir()
    for number in range(count):
        random = np.random.default_rng(number)
        Image.fromarray(random.integers(0, 256, (side, side), dtype=np.uint8)).save(root / f"{number}.png")
        mask = np.zeros((side, side), np.uint8)
        mask[5:20, 5 + number % 8 : 20] = 255
        mask = np.kron(mask, np.ones((2, 2), np.uint8)) if number in large else mask
        Image.fromarray(mask).save(root / f"{number}_mask.png")
    return root


@pytest.mark.parametrize(
    ("large", "without", "said"),
    [
        ((), (), "Masks: of 8 images, 0 of them with nothing marked."),
        ((3,), (), "A run refuses this: 3.png: its mask has 80 × 80 pixels, the image 40 × 40"),
        ((), (3,), "A run refuses this: 3.png: has no mask; images without one: 1 of 8."),
        ((), range(8), "A run refuses this: films: no image has a mask; expected NAME_mask.png"),
    ],
)
def test_an_audit_tells_of_masks_what_a_run_says(tmp_path, capsys, cache, large, without, said):
    root = masked(tmp_path / "films", large=large)
    for number in without:
        (root / f"{number}_mask.png").unlink()
    assert main(["audit", str(root), "--recipe", "nuclei", "--out", str(tmp_path / "audit")]) == 0
    assert f"Note: {said}" in capsys.readouterr().out
    warnings = json.loads((tmp_path / "audit" / "audit.json").read_text())["warnings"]
    assert any(warning.startswith(said) for warning in warnings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": Head("linear")}, "head.kind: expected unet beside segmentation. Received: 'linear'"),
        (
            {"head": Head("unet"), "task": Classification()},
            "head.kind: expected linear",
        ),
    ],
)
def test_a_head_that_does_not_suit_the_task_is_refused(settings, message):
    given = {"task": Segmentation(), "stages": (Stage("h", "head", 1, 1e-3),)} | settings
    with pytest.raises(UserError, match=message):
        Recipe("masks", **given)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"mix": "mixup"}, "stage h: mix: expected none beside segmentation. Received: 'mixup'"),
        ({"label_smoothing": 0.1}, "stage h: label_smoothing: expected 0.0 beside segmentation. Received: 0.1"),
        ({"focal_gamma": 2.0}, "stage h: focal_gamma: expected 0.0 beside segmentation"),
    ],
)
def test_settings_of_a_stage_without_effect_are_refused(stage, message):
    with pytest.raises(UserError, match=message):
        Recipe("masks", (Stage("h", "head", 1, 1e-3, **stage),), task=Segmentation(), head=Head("unet"))


def test_only_the_headline_chooses_the_epoch_and_no_closed_form_learns():
    with pytest.raises(UserError, match=r"training.select: expected headline or worst_shift"):
        ROW.select(QUESTION, Training(select="sensitivity"), {}, {})
    with pytest.raises(UserError, match=r"schedule: expected stages, or .* beside segmentation. Received: 'logistic'"):
        Recipe("masks", schedule="logistic", task=Segmentation(), head=Head("unet"))


@pytest.mark.parametrize("loss", LOSSES)
def test_an_image_counts_by_its_weight(loss):
    masks, _ = squares(5)
    target, logits = masks[..., None].astype(np.float32), np.random.default_rng(0).normal(0, 3, (5, 32, 32, 1))
    (of,) = ROW.network().losses(replace(QUESTION, loss=loss), None, Training(), False).values()
    each = [float(of(target[row : row + 1], logits[row : row + 1])) for row in range(5)]
    weights = np.array([0.0, 1.0, 2.0, 0.5, 1.5], np.float32)
    assert float(of(target, logits, sample_weight=weights)) == pytest.approx(np.mean(weights * each), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_falls_as_masks_come_nearer(loss):
    masks, _ = squares(2)
    target = masks[..., None].astype(np.float32)
    (of,) = ROW.network().losses(replace(QUESTION, loss=loss), None, Training(), False).values()
    values = [float(of(target, scale * (2 * target - 1))) for scale in (-4.0, 0.0, 1.0, 4.0)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 4
    assert values[-1] < 0.1


@pytest.mark.parametrize("loss", LOSSES)
def test_a_structure_counts_in_the_loss_by_its_weight(loss):
    rows = [{"id": name, "path": f"/{name}.png", "patient": name, "label": name, "mask": "/m.png"} for name in "ab"]
    images, data = from_rows(rows, ("a", "b"), "films"), Data(structures={"lung": 1, "nodule": 2})
    random = np.random.default_rng(0)
    target = random.integers(0, 2, (3, 8, 8, 2)).astype(np.float32)
    logits = random.normal(0, 3, target.shape).astype(np.float32)

    def of(weights, target, logits):
        asked, _ = ROW.ask(Segmentation(loss=loss, structure_weights=weights), data, images)
        (found,) = ROW.network().losses(asked, None, Training(), False).values()
        return float(found(target, logits))

    lung, nodule = (
        float(ROW.network().losses(replace(QUESTION, loss=loss), None, Training(), False)[MASK](*arrays))
        for arrays in ((target[..., :1], logits[..., :1]), (target[..., 1:], logits[..., 1:]))
    )
    assert of({"nodule": 3.0}, target, logits) == pytest.approx((lung + 3 * nodule) / 4, rel=1e-5)
    assert of({"lung": 0.5, "nodule": 0.5}, target, logits) == pytest.approx((lung + nodule) / 2, rel=1e-5)
    assert of({}, target, logits) == pytest.approx((lung + nodule) / 2, rel=1e-5)
    with pytest.raises(UserError, match=r"task.structure_weights.nodul: no such structure. Did you mean 'nodule'\?"):
        of({"nodul": 2.0}, target, logits)


def test_missed_pixels_count_more_than_false_ones_in_the_tversky_loss():
    target = np.zeros((1, 8, 8, 1), np.float32)
    target[:, :4] = 1
    (of,) = ROW.network().losses(replace(QUESTION, loss="tversky", missed=0.9), None, Training(), False).values()
    missed, false = np.full_like(target, -9.0), np.full_like(target, -9.0)
    missed[:, :2], false[:, :6] = 9, 9
    assert float(of(target, missed)) > float(of(target, false))


def test_levels_are_what_is_kept_and_come_back_the_same():
    logits = np.random.default_rng(0).normal(0, 6, (3, 9, 9, 2)).astype(np.float32)
    levels = levels_of({MASK: logits})
    assert levels.dtype == np.uint8
    assert np.array_equal(levels_of({MASK: logits_of(levels)}), levels)
    assert np.array_equal(levels_of({MASK: logits_of(np.arange(256, dtype=np.uint8))}), np.arange(256))


def test_the_border_around_an_image_is_no_part_of_its_mask():
    masks, logits = np.zeros((4, 32, 32), bool), np.full((4, 32, 32), -6.0)
    box = placement(64, 32, 32, "keep")
    masks[:, box.top : box.top + 4, 4:12] = True
    logits[:, box.top : box.top + 4, 4:12] = 6
    logits[:, : box.top] = 6  # the model finds something where no image is
    found = ROW.figures(QUESTION, Evaluation(), examples(masks, logits, 64, 32), plain(("lesion",), 2.0, "keep"))
    assert found.estimates["dice"].value == 1
    assert found.estimates["false_positives"].value == 0


def test_distances_are_in_pixels_of_the_file():
    masks, logits = squares(6)
    decoder = plain(("lesion",), 2.0, "keep")
    small = ROW.figures(QUESTION, Evaluation(), examples(masks, logits), decoder).estimates
    large = ROW.figures(QUESTION, Evaluation(), examples(masks, logits, 320, 320), decoder).estimates
    assert small["hd95"].value == pytest.approx(1)
    assert large["hd95"].value == pytest.approx(10)
    assert large["surface_dice"].value < small["surface_dice"].value == 1
    assert large["dice"].value == small["dice"].value


def test_distances_and_areas_are_in_mm_where_the_run_knows_them():
    masks, logits = squares(6)  # predictions lie a row lower
    asked, settings = replace(QUESTION, unit="mm"), Evaluation()
    seen = examples(masks, logits, spacing=(3.0, 0.5))
    fit = ROW.fit_decoder(asked, settings, seen, 0)
    assert fit.decoder.unit == "mm"
    assert ROW.question(fit.decoder).unit == "mm"
    found = ROW.figures(asked, settings, seen, fit.decoder)
    assert found.estimates["hd95"].value == pytest.approx(3)
    assert found.estimates["surface_dice"].value < 1
    near = ROW.figures(replace(asked, tolerance=3.0), settings, seen, fit.decoder)
    assert near.estimates["surface_dice"].value == 1
    assert found.tables["images"]["area_reference"].tolist() == [144 * 1.5] * 6
    document = ROW.document(fit, found)
    assert (document["unit"], document["decoder"]["unit"]) == ("mm", "mm")
    assert "  Distances are in mm; borders agree up to 2 apart." in ROW.lines(settings, fit, found)
    assert "mm²" in ROW.curves(found)["areas"].words
    pooled, _ = ROW.pool(asked, settings, [(seen, fit.decoder), (seen, fit.decoder)])
    assert pooled.estimates["hd95"].value == pytest.approx(3)
    assert "mm²" in ROW.curves(pooled)["areas"].words


def test_an_image_without_spacing_is_never_mixed_with_others():
    masks, logits = squares(6)
    asked, decoder = replace(QUESTION, unit="mm"), plain(("lesion",), 2.0, "keep", "mm")
    with pytest.raises(UserError, match=r"0.png: no pixel spacing, and the run's distances are in mm"):
        ROW.figures(asked, Evaluation(), examples(masks, logits), decoder)
    found = ROW.figures(
        QUESTION, Evaluation(), examples(masks, logits, spacing=(3.0, 0.5)), replace(decoder, unit="px")
    )
    assert found.estimates["hd95"].value == pytest.approx(1)
    assert "pixels" in ROW.curves(found)["areas"].words


@pytest.mark.parametrize(("spacing", "unit"), [([0.5] * 240, "mm"), ([0.5] * 239 + [0.0], "px"), (None, "px")])
def test_a_run_is_in_mm_where_every_image_states_its_spacing(spacing, unit):
    row = ROWS["segmentation"]
    question, manifest = row.asked
    table = manifest.table.assign(**dict.fromkeys(SIZES, 32))
    table = table if spacing is None else table.assign(**dict.fromkeys(SPACINGS, spacing))
    assert row.task.targets(question, row.data, manifest, table).question == replace(question, unit=unit)


def test_validation_chooses_the_threshold_and_drops_specks():
    masks, _ = squares(12)
    random = np.random.default_rng(0)
    logits = np.where(masks, -1.0, -4.0)  # the best threshold lies far below a half
    logits[:, 1, 1] = 3.0  # a speck in each image, of one pixel
    decoder = ROW.fit_decoder(QUESTION, Evaluation(), examples(masks, logits + random.normal(0, 0.1, masks.shape)), 0)
    (threshold,), (smallest,) = decoder.decoder.thresholds, decoder.decoder.smallest
    assert HIGHEST / (1 + np.exp(4)) < threshold < HIGHEST / (1 + np.exp(1)) + 1
    assert smallest >= 8
    found = ROW.figures(QUESTION, Evaluation(), examples(masks, logits), decoder.decoder)
    assert found.estimates["dice"].value == 1


def test_a_miss_rate_is_kept_or_refused_where_too_few_patients_are_there():
    masks, _ = squares(40)
    random = np.random.default_rng(0)
    noisy = examples(masks, np.where(masks, 1.0, -1.0) + random.normal(0, 1, masks.shape))
    best, careful = (ROW.fit_decoder(QUESTION, Evaluation(miss_rate=rate), noisy, 0).decoder for rate in (None, 0.05))
    assert careful.thresholds[0] < best.thresholds[0]
    missed = 1 - ROW.figures(QUESTION, Evaluation(), noisy, careful).estimates["recall"].value
    assert missed <= 0.05
    with pytest.raises(UserError, match=r"miss_rate: 0.05 cannot be kept for lesion: validation has 6 patients"):
        ROW.fit_decoder(QUESTION, Evaluation(miss_rate=0.05), noisy.of(np.arange(6)), 0)


def test_a_miss_rate_that_cannot_be_kept_is_refused_before_anything_trains(tmp_path, cache):
    recipe = Recipe(
        "masks",
        (Stage("head", "head", 1, 1e-3),),
        task=Segmentation(),
        data=Data(str(masked(tmp_path / "films", 24)), size=32, channels=1, validation=0.25, test=0.25, augment="none"),
        backbone=Backbone("Tiny", "random"),
        head=Head("unet", hidden=16),
        evaluation=Evaluation(miss_rate=0.1),
    )
    said = []
    with pytest.raises(UserError, match=r"miss_rate: 0.1 cannot be kept for foreground: validation has 6 patients"):
        run(recipe, tmp_path / "run", log=said.append)
    assert said == []  # a training begins by telling what is in the splits


def test_empty_masks_are_told_apart_and_never_dropped():
    masks, logits = squares(8)
    masks[:3] = False
    logits[1:4] = -6.0
    found = ROW.figures(QUESTION, Evaluation(), examples(masks, logits), plain(("lesion",), 2.0, "keep"))
    (row,) = found.tables["empty"].to_dict("records")
    counts = {name: row[name] for name in row if name != "structure"}
    assert counts == {"both_empty": 2, "only_reference_empty": 1, "only_prediction_empty": 1, "neither_empty": 4}
    assert len(found.tables["images"]) == 8
    assert "3 images without any, of which 1 were given a mask; 1 with some were given none" in "\n".join(
        ROW.lines(Evaluation(), ROW.fit_decoder(QUESTION, Evaluation(), examples(masks, logits), 0), found)
    )


def test_the_calibration_of_pixels_counts_what_lies_in_the_image():
    masks, logits = np.zeros((2, 32, 32), bool), np.full((2, 32, 32), np.log(1 / 3))
    masks[:, ::2, ::2] = True  # a quarter, as claimed
    found = ROW.figures(QUESTION, Evaluation(), examples(masks, logits, 64, 32), plain(("lesion",), 2.0, "keep"))
    (row,) = found.tables["calibration"].to_dict("records")
    assert row == {"claimed": pytest.approx(0.25, abs=0.003), "observed": 0.25, "pixels": 2 * 16 * 32}


def test_splits_are_balanced_by_what_images_show(tmp_path):
    random = np.random.default_rng(0)
    rows = []
    for number in range(60):
        for end, marked in (("", random.integers(0, 255, (32, 32))), ("_mask", (number % 6 == 0) * np.eye(32) * 255)):
            Image.fromarray(np.asarray(marked).astype(np.uint8)).save(tmp_path / f"{number}{end}.png")
        places = {key: str(tmp_path / f"{number}{end}.png") for key, end in (("path", ""), ("mask", "_mask"))}
        rows.append({"id": f"{number}", "patient": f"{number}", "label": "ab"[number % 2], **places})
    data = Data(size=32, channels=1)
    question, manifest = ROW.ask(Segmentation(), data, from_rows(rows, ("a", "b"), "films"))
    table = manifest.table.assign(**dict.fromkeys(SIZES, 32))
    strata = ROW.targets(question, data, manifest, table).strata
    rare = np.arange(60) % 6 == 0  # all of them of class a
    assert set(strata[rare]).isdisjoint(strata[~rare])
    assert np.array_equal(strata[~rare], table["stratum"].to_numpy()[~rare])


@pytest.mark.parametrize(
    ("structure", "words"),
    [
        ("lesion", "data.structures.lesion: marked in no image of the split 'val'; take more"),
        ("foreground", "masks: nothing is marked in any image of the split 'val'; take more"),
    ],
)
def test_a_split_without_a_structure_is_refused(structure, words):
    masks, _ = squares(2)
    with pytest.raises(UserError, match=words):
        ROW.check(
            replace(QUESTION, structures=(structure,)),
            {"train": {MASK: masks[..., None]}, "val": {MASK: 0 * masks[..., None]}},
        )


def test_the_epoch_is_chosen_by_the_best_threshold():
    masks, _ = squares(4)
    faint = np.where(masks, -2.0, -4.0)[..., None]
    known, outputs = {MASK: masks[..., None].astype(np.uint8)}, {MASK: faint}
    assert ROW.score(QUESTION, outputs, known) == {"dice": 1.0}
    assert np.isnan(ROW.score(QUESTION, outputs, {MASK: 0 * known[MASK]})["dice"])


def test_lost_and_gained_parts_are_counted_as_drift():
    masks, logits = squares(4)
    before, decoder = examples(masks, logits), plain(("lesion",), 2.0, "keep")
    other = logits.copy()
    other[0] = -6.0
    other[1, 28:30, 28:30] = 6.0
    drift = ROW.drift(QUESTION, before, decoder, {MASK: other[..., None]}, decoder)
    assert drift.figures["lesions_changed"] == 2
    assert drift.figures["pixels_changed"] == pytest.approx((144 + 4) / other.size)
    assert drift.figures["dice_apart"] == pytest.approx(1 - 2 * 3 * 144 / (4 * 144 + 3 * 144 + 4))


def test_pictures_show_both_contours_and_where_the_doubt_is():
    masks, logits = squares(6)
    logits[:, 20:24, 24:28] = 0.0
    known, decoder = examples(masks, logits), plain(("lesion",), 2.0, "keep")
    cases = ROW.cases(QUESTION, known, decoder, 1)
    assert [case.why for case in cases] == ["best mask", "median mask", "worst mask"]
    pixels = np.full((len(cases), 32, 32, 1), 90, np.uint8)
    pictures, doubt = ROW.gallery(QUESTION, known, decoder, cases, pixels)
    assert pictures.shape == (3, 32, 32, 3)
    for colour in (REFERENCE, PREDICTED):
        assert (pictures == colour).all(axis=-1).sum() > 10
    assert doubt[:, 21, 25] == pytest.approx(1)
    assert doubt.min() >= 0
    assert doubt[:, 0, 0] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("width", "height"), [(64, 32), (20, 90), (32, 32), (301, 299)])
def test_the_scanner_gives_masks_in_the_size_of_the_file(width, height):
    box = placement(width, height, 32, "keep")
    logits = np.full((1, 32, 32, 1), -9.0, np.float32)
    logits[:, box.top : box.top + box.height, box.left : box.left + (box.width + 1) // 2] = 9.0
    answer = place({MASK: logits}, plain(("left_half",), 2.0, "keep"), width, height)
    (mask,) = answer.masks().values()
    assert mask.shape == (height, width)
    assert mask[:, : width // 3].all()
    assert not mask[:, -width // 3 :].any()
    assert answer.document()["structures"]["left_half"]["share"] == pytest.approx(0.5, abs=0.06)


def test_areas_are_in_mm2_where_the_file_states_its_spacing():
    logits = np.full((1, 32, 32, 1), -9.0, np.float32)
    logits[:, :16] = 9.0
    decoder = plain(("a",), 2.0, "stretch")
    known = place({MASK: logits}, decoder, 32, 32, (0.5, 0.25))
    unknown, unread = place({MASK: logits}, decoder, 32, 32), ROW.edge.blank(decoder)
    assert ROW.edge.columns(decoder) == ["a_pixels", "a_mm2"]
    assert [answer.values() for answer in (known, unknown, unread)] == [[512.0, 64.0], [512.0, None], [None, None]]
    assert [answer.cells() for answer in (known, unknown, unread)] == [["512 (64 mm²)"], ["512"], []]
    assert [answer.decision for answer in (known, unknown, unread)] == ["a", "a", None]
    assert known.document()["structures"]["a"] == {"pixels": 512, "share": 0.5, "mm2": 64.0}
    assert unknown.document()["structures"]["a"]["mm2"] is None
    assert [answer.measurements()[0][3:] for answer in (known, unknown)] == [(64.0, "mm2"), (512.0, "{pixels}")]


def test_small_parts_are_measured_in_pixels_of_the_model():
    levels = np.zeros((40, 40, 1), np.uint8)
    levels[4:8, 4:8] = 255
    levels[20:30, 20:30] = 255
    decoder = replace(plain(("x",), 2.0, "stretch"), smallest=(20,))
    assert called(levels, decoder).sum() == 100
    assert called(levels, decoder, grown=0.5).sum() == 116
