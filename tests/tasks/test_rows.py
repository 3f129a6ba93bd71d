"""What every row of `TASKS` keeps, whatever it asks: nothing is trained."""

import json
import math
import time
from dataclasses import asdict, replace

import keras
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from kmedtl import config
from kmedtl.edge import model_info
from kmedtl.edge.tasks import EDGE_TASKS
from kmedtl.heads.build import build_model
from kmedtl.recipe import Backbone, Evaluation, Stage, Training
from kmedtl.system.titles import title
from kmedtl.tasks import TASKS
from kmedtl.tasks.predictions import examples_of, read_arrays, read_predictions, write_predictions
from tests.models import info_of
from tests.tasks.rows import EVALUATION, IMAGES, ROWS


@pytest.fixture(params=ROWS)
def row(request):
    return ROWS[request.param]


def same(one, other):
    return one.keys() == other.keys() and all(np.allclose(one[name], other[name], atol=1e-6) for name in one)


def test_10_000_answers_are_judged_in_5_seconds(row):
    """As `kmedtl validate` judges them. Masks take a few milliseconds each, which is less than answering them does."""
    if "mask" in row.task.moves.values():
        pytest.skip("masks are judged pixel by pixel")
    decoder, settings = row.fit.decoder, Evaluation(groups=("sex",))
    many = row.blurred.of(np.random.default_rng(0).integers(0, IMAGES, 10_000))
    names = np.arange(10_000).astype(str).astype(object)
    many = replace(many, ids=names, patients=np.repeat(names[:5000], 2))
    start = time.process_time()
    row.task.figures(row.question, settings, many, decoder)
    row.task.calibration(settings, many, decoder, 0)
    row.task.table(row.question, many, decoder)
    row.task.cases(row.question, many, decoder, 12)
    assert time.process_time() - start < 5


def test_each_task_is_in_the_contract():
    assert {row.settings.kind for row in ROWS.values()} == {*TASKS, "multi"} == {*EDGE_TASKS, "multi"}
    assert all(TASKS[name].edge is EDGE_TASKS[name] for name in TASKS)


def test_the_question_keeps_every_image_that_can_answer_it(row):
    _, manifest = row.asked
    assert len(manifest.table) == len(row.known.ids) == IMAGES
    for name, array in row.known.targets.items():
        assert array.shape[0] == IMAGES
        assert array.dtype == (np.uint8 if row.task.moves.get(name) == "mask" else np.float32)
    assert "stratum" in manifest.table


def test_targets_outputs_losses_and_widths_have_the_same_names(row):
    network, decoder = row.task.network(), row.fit.decoder
    backbone = Backbone("MobileNet", "random", truncate_at="block3")
    outputs = build_model(backbone, row.head, 32, 1, lambda found: network.outputs(row.question, found)).output
    widths = row.task.edge.widths(decoder)
    assert set(outputs) == set(row.known.targets) == set(widths)
    assert {name: output.shape[-1] for name, output in outputs.items()} == widths
    assert all(output.dtype == "float32" for output in outputs.values())
    for stage in (None, Stage("head", "head", 1, 1e-3)):
        losses = network.losses(row.question, stage, Training(), False)
        assert set(losses) == set(outputs)
        perfect, blurred = (
            sum(float(losses[name](row.known.targets[name].astype(np.float32), found[name])) for name in losses)
            for found in (row.known.outputs, row.blurred.outputs)
        )
        assert perfect < blurred


def test_a_decoder_is_a_document_and_the_same_again(row, tmp_path):
    task = row.task
    for decoder in (row.fit.decoder, task.plain(row.question)):
        text = json.dumps(asdict(decoder), allow_nan=False)
        assert json.loads(text)["kind"] == decoder.kind == row.settings.kind
        assert config.build(task.edge.decoder, json.loads(text), text_as_number=False) == decoder
        model_info.attach(info_of(decoder), tmp_path)
        assert model_info.read(tmp_path).decoder == decoder


def test_figures_have_a_headline_titles_and_intervals_or_a_reason(row):
    task = row.task
    for found in (
        task.evaluate(row.question, EVALUATION, row.blurred, row.fit, 0),
        task.figures(row.question, EVALUATION, row.blurred, row.fit.decoder),
        task.pool(row.question, EVALUATION, [(row.blurred, row.fit.decoder)])[0],
    ):
        assert found.headline in found.estimates
        assert (found.images, found.patients) == (IMAGES, IMAGES // 2)
        assert set(task.brief) & set(found.estimates)
        for name, one in found.estimates.items():
            assert one.low <= one.value <= one.high or (math.isnan(one.value) and one.method), name
            assert title(name)[0].isupper()
            assert "_" not in title(name)


def test_scores_of_validation_begin_with_what_the_epoch_is_chosen_by(row):
    task = row.task
    scores = task.score(row.question, row.blurred.outputs, row.known.targets)
    assert next(iter(scores)) == next(iter(task.better))
    assert set(scores) == set(task.better)
    assert set(task.better.values()) <= {"max", "min"}
    chosen = task.select(row.question, Training(), row.blurred.outputs, row.known.targets)
    assert chosen == next(iter(scores.values()))
    best = task.score(row.question, row.known.outputs, row.known.targets)
    for name, direction in task.better.items():
        assert best[name] > scores[name] if direction == "max" else best[name] < scores[name]


def test_the_headline_knows_perfect_outputs_from_shuffled_ones(row):
    shuffled = np.random.default_rng(2).permutation(IMAGES)
    outputs = {name: array[shuffled] for name, array in row.known.outputs.items()}
    perfect, other = (
        row.task.figures(row.question, EVALUATION, examples, row.fit.decoder)
        for examples in (row.known, row.with_outputs(outputs))
    )
    headline = perfect.headline
    assert perfect.estimates[headline].value == pytest.approx(1)
    assert other.estimates[headline].high < perfect.estimates[headline].low
    assert other.estimates[headline].low < row.task.chance + 0.2


def test_answers_that_did_not_move_drift_by_nothing(row):
    task, decoder = row.task, row.fit.decoder
    drift = task.drift(row.question, row.blurred, decoder, row.blurred.outputs, decoder)
    assert set(drift.figures) == set(task.drift_titles)
    assert set(drift.figures.values()) == {0.0}
    assert (drift.loss.value, drift.loss.low, drift.loss.high) == (0.0, 0.0, 0.0)
    found = task.figures(row.question, EVALUATION, row.blurred, decoder)
    assert drift.value == pytest.approx(found.estimates[found.headline].value)


def test_answers_that_moved_drift(row):
    task, decoder = row.task, row.fit.decoder
    drift = task.drift(row.question, row.known, decoder, row.blurred.outputs, decoder)
    assert 0 < drift.figures["mean_difference"] < drift.figures["max_difference"]
    assert drift.loss.value > 0


def test_a_gain_is_paired_by_image_in_any_order(row):
    task, decoder, order = row.task, row.fit.decoder, np.random.default_rng(3).permutation(IMAGES)
    nothing = task.gain(row.question, row.blurred, [row.blurred.of(order)], decoder, decoder)
    assert (nothing.value, nothing.low, nothing.high) == pytest.approx((0, 0, 0), abs=1e-12)
    gain = task.gain(row.question, row.known, [row.blurred.of(order)] * 2, decoder, decoder)
    figures = [
        task.figures(row.question, EVALUATION, examples, decoder).estimates for examples in (row.known, row.blurred)
    ]
    headline = next(iter(figures[0]))
    assert gain.value == pytest.approx(figures[0][headline].value - figures[1][headline].value)
    assert gain.low <= gain.value <= gain.high


def test_a_table_of_predictions_reads_back_as_it_was(row, tmp_path):
    task, decoder = row.task, row.fit.decoder
    columns = task.table(row.question, row.blurred, decoder)
    assert len(columns) == IMAGES
    who = pd.DataFrame({"id": row.known.ids, "patient": row.known.patients, "split": "test"})
    arrays = task.arrays(row.question, row.blurred)
    write_predictions(pd.concat([who, columns, row.known.groups], axis=1), arrays, tmp_path)
    table = read_predictions(tmp_path / "predictions.csv")
    arrays = read_arrays(tmp_path, table)
    backwards = read_arrays(tmp_path, table[::-1])
    assert all(np.array_equal(backwards[name][::-1], array) for name, array in arrays.items())
    found = examples_of(table, arrays, task, task.question(decoder), "test")
    assert same(found.targets, row.known.targets)
    if arrays:  # which hold what was judged, rounded
        assert same(task.arrays(row.question, found), arrays)
    else:
        assert same(found.outputs, row.blurred.outputs)
    assert list(found.ids) == list(row.known.ids)
    again = task.figures(task.question(decoder), EVALUATION, found, decoder).estimates
    for name, one in task.figures(row.question, EVALUATION, row.blurred, decoder).estimates.items():
        assert again[name].value == pytest.approx(one.value, nan_ok=True), name


@pytest.mark.parametrize("damage", ["missing", "not a number", "words"])
def test_a_damaged_table_of_predictions_is_no_silent_answer(row, damage):
    columns = row.task.table(row.question, row.blurred, row.fit.decoder)
    arrays = row.task.arrays(row.question, row.blurred)
    if arrays:
        name = list(arrays)[-1]
        damaged = {"missing": None, "not a number": arrays[name] / np.nan, "words": arrays[name].astype(str)}[damage]
        arrays = {key: damaged if key == name else array for key, array in arrays.items()}
        arrays = {key: array for key, array in arrays.items() if array is not None}
    else:
        output = [name for name in columns if name.rpartition(".")[2].startswith(("logit", "output"))][-1]
        columns[output] = columns[output].astype(object)
        columns.loc[3, output] = math.nan if damage == "not a number" else "many"
        columns = columns.drop(columns=output) if damage == "missing" else columns
    with pytest.raises((KeyError, ValueError)):
        row.task.read(row.question, columns, arrays)


def test_the_scanner_answers_each_image_in_every_form(row):
    edge, decoder = row.task.edge, row.fit.decoder
    answers = edge.decode(row.blurred.outputs, decoder)
    assert len(answers) == IMAGES
    for answer in answers[:20]:
        assert answer.decision
        assert len(answer.cells()) == len(edge.header(decoder))
        assert len(answer.values()) == len(edge.columns(decoder))
        json.dumps(answer.document(), allow_nan=False)
        assert all(len(one.code) <= 16 and math.isfinite(one.value) and one.unit for one in answer.measurements())
        name, column = edge.explained(answer)
        assert column < edge.widths(decoder)[name]
    blank = edge.blank(decoder)
    assert blank.decision is None
    assert blank.values() == [None] * len(edge.columns(decoder))
    json.dumps([blank.document(), edge.context(decoder)], allow_nan=False)
    (heading, sentence), *_ = edge.in_words(decoder)
    assert heading == "Comes out"
    assert sentence


def test_a_saved_model_answers_as_the_scanner_does(row):
    # A SavedModel keeps the small parts that a scanner drops.
    decoder = row.task.plain(row.question) if row.task.edge.masks else row.fit.decoder
    outputs = row.blurred.outputs
    found = row.task.network().decode(
        {name: keras.ops.convert_to_tensor(array) for name, array in outputs.items()}, decoder
    )
    answers = row.task.edge.decode(outputs, decoder)
    scanner = np.array([[value for value in answer.values() if isinstance(value, float)] for answer in answers])
    arrays = [np.asarray(tensor) for tensor in found.values()]
    together = np.concatenate([array.sum((1, 2)) if array.ndim == 4 else array for array in arrays], axis=1)
    assert together == pytest.approx(scanner, rel=1e-5, abs=1e-6)


def test_folds_are_judged_together(row):
    halves = [row.blurred.of(np.arange(IMAGES) % 4 // 2 == part) for part in (0, 1)]
    fits = [row.task.fit_decoder(row.question, EVALUATION, half, 0).decoder for half in halves]
    pooled, columns = row.task.pool(row.question, EVALUATION, list(zip(halves, fits, strict=True)))
    assert len(columns) == pooled.images == IMAGES
    parts = [row.task.arrays(row.question, half) for half in halves]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    targets, _ = row.task.read(row.question, columns, arrays)
    assert set(targets) == set(row.known.targets)
    for name, known in targets.items():
        assert np.allclose(known, np.concatenate([half.targets[name] for half in halves]), atol=1e-6)


def test_what_is_right_is_told_for_each_image_or_not_at_all(row):
    perfect, blurred = (
        row.task.right(row.question, examples, row.fit.decoder) for examples in (row.known, row.blurred)
    )
    if perfect is None:
        assert blurred is None
    else:
        assert perfect.shape == (IMAGES,)
        assert perfect.all()
        assert 0 < blurred.mean() < 1


def test_cases_are_images_that_a_map_can_explain(row):
    cases = row.task.cases(row.question, row.blurred, row.fit.decoder, 2)
    widths = row.task.edge.widths(row.fit.decoder)
    assert len({case.why for case in cases}) >= 2
    for case in cases:
        assert 0 <= case.row < IMAGES
        assert case.column < widths[case.output]
        assert any(letter.isdigit() for letter in case.caption)


def test_what_is_told_can_be_written_and_drawn(row):
    task = row.task
    found = task.evaluate(row.question, EVALUATION, row.blurred, row.fit, 0)
    document = json.loads(json.dumps(task.document(row.fit, found), allow_nan=True))
    assert document["test"][found.headline]["value"] == found.estimates[found.headline].value
    lines = list(task.lines(EVALUATION, row.fit, found))
    assert all(isinstance(line, str) and "\n" not in line for line in lines)
    assert any(str(found.estimates[found.headline]) in line for line in lines)
    pictures = task.curves(found)
    assert pictures
    for picture in pictures.values():
        assert isinstance(picture.figure, Figure)
        assert len(picture.words) > 20


def test_groups_are_judged_apart(row):
    found = row.task.evaluate(row.question, EVALUATION, row.blurred, row.fit, 0)
    document = json.dumps(row.task.document(row.fit, found))
    assert "sex" in document
