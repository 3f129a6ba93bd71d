"""Slices of volumes, judged together: in three dimensions, on the volume's own voxels, in mm and ml."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kmedtl.data.manifest import BETWEEN, SIZES, SPACINGS
from kmedtl.edge.tasks.mask_decoder import rules
from kmedtl.edge.tasks.segmentation import MASK, of_volume
from kmedtl.images.placement import placement, to_square
from kmedtl.recipe import Evaluation
from kmedtl.statistics import overlap
from kmedtl.tasks import TASKS
from kmedtl.tasks.segmentation.evaluation import masks_of, per_image
from kmedtl.tasks.segmentation.question import MaskQuestion, plain_decoder
from kmedtl.tasks.segmentation.report import limits
from kmedtl.tasks.segmentation.volumes import judged_together, on_own_grid
from kmedtl.tasks.task import Examples, TableSettings

ROW, STRUCTURES = TASKS["segmentation"], ("front", "back")
QUESTION = MaskQuestion(STRUCTURES, 2.0, "keep", unit="mm", volumes=True)
SPACING = (2.5, 0.9, 0.8)  # between slices, rows and columns
COUNT, HEIGHT, WIDTH, SIZE = 7, 24, 20, 32


def balls(seed, speck=False):
    """Two structures of a volume, bool (slices, H, W, 2)."""
    random, grid = np.random.default_rng(seed), np.indices((COUNT, HEIGHT, WIDTH))
    parts = []
    for column in (6, 13):
        center = np.array([COUNT / 2, HEIGHT / 2, column]) + random.uniform(-1, 1, 3)
        away = (grid - center.reshape(3, 1, 1, 1)) * np.array(SPACING).reshape(3, 1, 1, 1)
        parts.append(np.linalg.norm(away, axis=0) < 4.5)
    found = np.stack(parts, -1)
    if speck:
        found[0, 0, 0] = True
    return found


def volumes(count=6, speck=False):
    """Return references, predictions, and the slices of all as shuffled examples of a model of `SIZE`."""
    known, seen = [balls(2 * n) for n in range(count)], [balls(2 * n + 1, speck) for n in range(count)]
    squares = [np.stack([to_square(one, SIZE, "keep") for one in np.concatenate(part)]) for part in (known, seen)]
    names = np.repeat([f"v{number}" for number in range(count)], COUNT)
    frames = np.tile(np.arange(COUNT).astype(str), count)
    table = pd.DataFrame(
        dict(zip((*SIZES, BETWEEN, *SPACINGS), (WIDTH, HEIGHT, *SPACING), strict=True)), range(len(names))
    )
    table = table.assign(volume=names, frame=frames)
    logits = np.where(squares[1], 6.0, -6.0).astype(np.float32)
    made = Examples(table["volume"] + "#" + frames, names, {MASK: squares[0].astype(np.uint8)}, {MASK: logits}, table)
    made = replace(made, ids=made.ids.to_numpy(object))
    return known, seen, made.of(np.random.default_rng(0).permutation(len(names)))


def test_a_volume_is_judged_as_one_mask_on_its_own_voxels():
    known, seen, examples = volumes()
    table = per_image(examples, QUESTION, plain_decoder(QUESTION))
    assert len(table) == 6 * len(STRUCTURES)
    for rows in judged_together(examples.groups):
        number = int(examples.patients[rows[0]][1:])
        for column, name in enumerate(STRUCTURES):
            found = table[(table["image"] == rows[0]) & (table["structure"] == name)].iloc[0]
            reference, prediction = known[number][..., column], seen[number][..., column]
            assert found["dice"] == pytest.approx(overlap.dice(reference, prediction))
            assert found["hd95"] == pytest.approx(overlap.hausdorff95(reference, prediction, SPACING))
            assert found["volume_reference"] == pytest.approx(reference.sum() * np.prod(SPACING) / 1000)


def test_figures_are_by_volume_in_the_evaluation_and_in_the_table_of_a_run(tmp_path):
    _, _, examples = volumes()
    decoder = plain_decoder(QUESTION)
    found = ROW.figures(QUESTION, Evaluation(), examples, decoder)
    assert (found.images, found.patients) == (6, 6)
    assert "ml" in ROW.curves(found)["areas"].words
    assert limits(found.tables["images"])[1] < limits(found.tables["images"])[2]
    columns = ROW.table(QUESTION, examples, decoder)
    assert len(columns) == len(examples.ids)
    whole = pd.concat([columns, examples.groups.reset_index(drop=True)], axis=1)
    whole.assign(id=examples.ids, patient=examples.patients, split="test").to_csv(tmp_path / "p.csv", index=False)
    again = ROW.evaluate_table(tmp_path / "p.csv", {}, TableSettings())
    assert again.figures.estimates == found.estimates


def test_parts_are_dropped_in_three_dimensions_where_validation_gains():
    _, _, examples = volumes(speck=True)
    fit = ROW.fit_decoder(QUESTION, Evaluation(), examples, 7)
    assert min(fit.decoder.smallest) >= 16
    masks = masks_of(examples, QUESTION, fit.decoder)
    table = per_image(examples, QUESTION, fit.decoder)
    assert set(table["components"]) == {1}
    assert masks.any()
    _, _, clean = volumes()
    assert ROW.fit_decoder(QUESTION, Evaluation(), clean, 7).decoder.smallest == (0, 0)


def test_a_scanner_tidies_a_volume_as_the_evaluation_does():
    _, seen, examples = volumes(count=1, speck=True)
    hollow = seen[0].copy()
    hollow[3, 11:13, 6], hollow[0, 0, 0, 1] = False, False
    hollow[..., 1] &= ~hollow[..., 0]
    decoder = replace(plain_decoder(QUESTION), smallest=(2, 2), largest=(True, False), filled=(True, False))
    order = np.argsort(examples.groups["frame"].astype(int).to_numpy())
    square = np.stack([to_square(one, SIZE, "keep") for one in hollow])
    logits = np.where(square, 6.0, -6.0).astype(np.float32)
    examples = replace(examples.of(order), outputs={MASK: logits})
    expected = on_own_grid(
        masks_of(examples, QUESTION, decoder), placement(WIDTH, HEIGHT, SIZE, "keep"), WIDTH, HEIGHT, "keep"
    )
    slices = iter([({MASK: one[None]}, WIDTH, HEIGHT, SPACING) for one in logits])
    answer = of_volume(decoder, COUNT, slices)
    assert np.array_equal(answer.labels[..., None] == [1, 2], expected)
    assert expected[3, 11:13, 6, 0].all()
    assert not expected[0, 0, 0].any()
    assert sum("largest part alone, holes filled" in line for line in rules(decoder)) == 1
