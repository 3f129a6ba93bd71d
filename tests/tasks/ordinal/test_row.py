"""What is asked of grades, refused, answered, and answered together."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from kmedtl.data.manifest import from_rows
from kmedtl.data.phantom.source import grade_of
from kmedtl.data.sources import load
from kmedtl.edge.predictor import Model, Seen, answer_images
from kmedtl.edge.tasks.ordinal import GRADE, GradeDecoder, cumulative, of_grades
from kmedtl.errors import UserError
from kmedtl.images.decode import Facts
from kmedtl.recipe import Data, Ordinal, Training
from kmedtl.tasks import TASKS
from kmedtl.tasks.ordinal.combine import outputs_of
from kmedtl.tasks.ordinal.question import GradeQuestion, ask, plain
from tests.models import info_of
from tests.tasks.ordinal.invented import GRADES, examples_of, noisy

ROW = TASKS["ordinal"]
LOSSES = ("corn", "expected_grade", "crossentropy")


def manifest(classes=GRADES, listed=(), multi_label=False):
    rows = [
        {"id": f"{number}.png", "path": f"/{number}.png", "patient": f"p{number}"}
        | (dict.fromkeys(classes, number % 2) if multi_label else {"label": classes[number % len(classes)]})
        for number in range(12)
    ]
    return from_rows(rows, listed or (classes if multi_label else ()), "films.csv", multi_label=multi_label)


def refused(action):
    with pytest.raises(UserError) as error:
        action()
    line = str(error.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("classes", "listed", "referable"),
    [
        (("0", "1", "2"), (), "1"),
        (("0", "1", "2", "3"), (), "2"),
        (("0", "1", "2", "3", "4"), (), "2"),
        (("2", "10", "1"), (), "2"),
        (("mild", "none", "severe"), ("none", "mild", "severe"), "mild"),
    ],
)
def test_grades_are_in_order_and_the_middle_one_is_referable(classes, listed, referable):
    question, kept = ask(Ordinal(), Data(classes=listed), manifest(classes, listed))
    assert question.grades == (listed or tuple(sorted(classes, key=float)))
    assert question.referable == referable
    numbers = ROW.targets(question, Data(), kept, kept.table).of(kept.table)[GRADE]
    assert numbers.dtype == np.float32
    assert [question.grades[int(number)] for number in numbers[:, 0]] == [
        classes[row % len(classes)] for row in range(12)
    ]


@pytest.mark.parametrize(
    ("settings", "listed", "words"),
    [
        (Ordinal(), manifest(("none", "mild", "severe")), ["task.kind=ordinal: ", "data.classes=[…]", "mild, none"]),
        (Ordinal(), manifest(("0", "1")), ["task.kind: ", "3 grades or more", "2 (0, 1)", "task.kind=classification"]),
        (Ordinal(), manifest(multi_label=True), ["task.kind: ", "one grade an image", "task.kind=classification"]),
        (Ordinal(referable="5"), manifest(), ["task.referable: ", "'5'", "Known: 1, 2, 3."]),
        (Ordinal(referable="0"), manifest(), ["task.referable: ", "a grade above the lowest", "'0'"]),
    ],
)
def test_what_cannot_be_graded_is_refused(settings, listed, words):
    line = refused(lambda: ask(settings, Data(), listed))
    for word in words:
        assert word in line


def test_splits_of_one_grade_teach_nothing():
    question, _ = ask(Ordinal(), Data(), manifest())
    some, one = ({GRADE: np.array(numbers, np.float32)[:, None]} for numbers in ([0, 2], [2, 2]))
    ROW.check(question, {"train": some, "val": some, "test": one})
    assert "the split 'val' holds the grade '2' alone" in refused(
        lambda: ROW.check(question, {"train": some, "val": one, "test": some})
    )


def test_kappa_alone_chooses_the_epoch():
    question = GradeQuestion(GRADES, "2", "expected_grade")
    known = {GRADE: np.array([[0.0], [1], [2], [3]], np.float32)}
    assert ROW.select(question, Training(), known, known) == 1
    assert ROW.score(question, {GRADE: known[GRADE] + 0.6}, known)["mae"] == pytest.approx(0.75)  # rounded, 3 at most
    line = refused(lambda: ROW.select(question, Training(select="sensitivity"), known, known))
    assert line.startswith("training.select: expected headline or worst_shift")


SOUND = GradeDecoder(GRADES, "corn", "2", (1.0,) * 3, (0.0,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"grades": ("0", "1")}, "grades"),
        ({"grades": ("0", "1", "1", "2")}, "grades"),
        ({"grades": ("0", "1", "", "2")}, "grades"),
        ({"referable": "0"}, "referable"),
        ({"referable": "4"}, "referable"),
        ({"slopes": (1.0, 1.0)}, "slopes"),
        ({"slopes": (1.0, 0.0, 1.0)}, "slopes"),
        ({"slopes": (1.0, float("inf"), 1.0)}, "slopes"),
        ({"offsets": (0.0, float("nan"), 0.0)}, "offsets"),
        ({"thresholds": (0.5,) * 4}, "thresholds"),
        ({"thresholds": (0.5, 1.5, 0.5)}, "thresholds"),
    ],
)
def test_a_decoder_from_a_file_is_checked(changes, word):
    assert refused(lambda: replace(SOUND, **changes)).startswith(f"{word}: expected ")


def test_the_scanner_tells_grade_probabilities_and_whether_to_refer():
    info = info_of(replace(SOUND, thresholds=(0.5, 0.2, 0.5)))
    logits = np.log(np.array([[0.9 / 0.1, 1 / 3, 0.2 / 0.8]], np.float32))  # conditional: 0.9, 0.25, 0.2
    model = Model(lambda images: {GRADE: logits}, info.reading, info)
    answer = answer_images(model, [Seen("film", Facts(32, 32), np.zeros((32, 32, 1), np.uint8))])[0].prediction.answer
    document = answer.document()
    assert document["probabilities"] == pytest.approx({"0": 0.1, "1": 0.675, "2": 0.18, "3": 0.045}, abs=1e-6)
    assert document["referable_probability"] == pytest.approx(0.225)
    assert (document["grade"], document["number"], document["referable"]) == ("2", 2, True)  # though 1 is likelier
    assert answer.decision == "2"
    assert ROW.edge.columns(info.decoder)[-2:] == [GRADE, "referable"]
    assert answer.values()[-2:] == ["2", "yes"]
    assert ROW.edge.explained(answer) == (GRADE, 1)  # the cut below


@pytest.mark.parametrize("loss", LOSSES)
def test_extreme_outputs_are_certain_and_not_undefined(loss):
    decoder = plain(GradeQuestion(GRADES, "2", loss))
    size = ROW.edge.widths(decoder)[GRADE]
    for sign in (-1, 1):
        outputs = {GRADE: np.full((1, size), sign * 1e30, np.float32)}
        (answer,) = ROW.edge.decode(outputs, decoder)
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        json.dumps(answer.document(), allow_nan=False)


@pytest.mark.parametrize("loss", ["corn", "crossentropy"])
def test_pooled_probabilities_come_back_under_the_plain_decoder(loss):
    above, _ = noisy(30, seed=0)
    outputs = {GRADE: outputs_of(above, loss)}
    assert cumulative(outputs, plain(GradeQuestion(GRADES, "2", loss))) == pytest.approx(above, abs=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_members_that_agree_answer_as_one(loss):
    question = GradeQuestion(GRADES, "2", loss)
    above, truth = noisy(30, seed=0)
    members = [examples_of(truth, {GRADE: outputs_of(above, loss)})] * 2
    outputs, weights = ROW.vote.fit(question, "mean", members, [plain(question)] * 2, np.ones(30, bool), 0)
    assert weights == (0.5, 0.5)
    likely = of_grades(cumulative(members[0].outputs, plain(question)))
    if loss == "expected_grade":
        assert outputs[GRADE][:, 0] == pytest.approx(likely @ np.arange(4), abs=1e-5)
    else:
        assert outputs[GRADE] == pytest.approx(members[0].outputs[GRADE], abs=1e-4)


def test_the_cases_are_those_furthest_off_and_surest_right():
    truth, numbers = np.array([0, 1, 2, 3, 3]), np.array([[0.0], [1.4], [2.0], [0.1], [1.9]], np.float32)
    question = GradeQuestion(GRADES, "2", "expected_grade")
    shown = ROW.cases(question, examples_of(truth, {GRADE: numbers}), plain(question), 2)
    assert [(case.row, case.why) for case in shown] == [
        (3, "furthest off"),
        (4, "furthest off"),
        (0, "surest right"),
        (2, "surest right"),
    ]
    assert "Truth: 3. Decided: 0, probability 0." in shown[0].caption


def test_a_decoder_keeps_the_question():
    question = GradeQuestion(GRADES, "3", "crossentropy")
    assert ROW.question(plain(question)) == question
    assert asdict(plain(question))["kind"] == "ordinal"


def test_the_phantom_has_grades_of_its_lesions():
    assert [grade_of(area) for area in (0.0, 0.01, 0.15, 0.151, 0.2, 0.3)] == ["0", "1", "1", "2", "2", "3"]
    listed = load(Data("phantom:6", columns={"label": "grade"}), seed=0)
    assert listed.synthetic
    assert list(listed.table["label"]) == [int(grade_of(area)) for area in listed.table["area"]]
