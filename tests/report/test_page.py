import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from kmedtl.data.contact_sheet import Sample
from kmedtl.explain.overlay import ExampleImage
from kmedtl.files.digits import in_digits
from kmedtl.report import card, folds, page
from kmedtl.tasks.classification import thresholds
from kmedtl.tasks.task import Case
from tests.report.synthetic import KINDS, report_of, without_positives

ATTACK = "<script>alert(1)</script>"
VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """What a test asks of a page."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.images, self.headers, self.addresses, self.ids = [], [], [], [], []
        self.labelled, self.fields, self.open, self.scripts, self.words = set(), [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.addresses += [found[name] for name in ("src", "href") if name in found]
        self.labelled |= {found["for"]} if tag == "label" else set()
        if tag in ("h1", "h2", "h3"):
            self.headings.append(int(tag[1]))
        for name, kept in {"img": self.images, "th": self.headers, "input": self.fields, "select": self.fields}.items():
            kept += [found] if tag == name else []
        if tag not in VOID:
            self.open.append(tag)
            if tag == "script":
                self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Kind → (text of the page, report, folder)."""
    pages = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        page.write(report_of(kind), folder)
        pages[kind] = (folder / page.NAME).read_text(encoding="utf-8"), report_of(kind), folder
    return pages


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_well_formed_and_can_be_read_without_eyes_or_mouse(written, kind):
    text, _, _ = written[kind]
    found = Page(text)
    assert found.open == []  # every tag is closed, in order
    assert '<html lang="en">' in text
    assert found.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(found.headings, found.headings[1:], strict=False))
    assert all(len(image["alt"]) > 30 and re.search(r"\d", image["alt"]) for image in found.images)
    assert all(header.get("scope") in ("col", "row") for header in found.headers)
    assert {field["id"] for field in found.fields} <= found.labelled
    assert len(found.ids) == len(set(found.ids))
    local = [address[1:] for address in found.addresses if address.startswith("#")]
    assert len(local) > 13
    assert set(local) <= set(found.ids)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_stands_alone_and_is_small(written, kind):
    text, _, folder = written[kind]
    outside = {address for address in Page(text).addresses if not address.startswith(("#", "data:"))}
    assert outside == {"audit.html", "model_card.md"}
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)=.?https?:|url\(|@import", text)
    assert len(text) < 2e6
    assert {"roc.png", "precision_recall.png", "reliability.png"} <= {
        file.name for file in (folder / "plots").iterdir()
    }


def test_no_page_tells_where_the_images_lie(tmp_path):
    report = report_of("binary", source="/home/jane/secret/films")
    data = replace(report.recipe.data, source="/home/jane/secret/films", labels="/home/jane/labels.csv")
    backbone = replace(report.recipe.backbone, weights="/home/jane/own.weights.h5")
    page.write(replace(report, recipe=replace(report.recipe, data=data, backbone=backbone)), tmp_path)
    card.write(replace(report, recipe=replace(report.recipe, data=data, backbone=backbone)), tmp_path)
    text = (tmp_path / "report.html").read_text() + (tmp_path / "model_card.md").read_text()
    assert "films" in text
    assert "own.weights.h5" in text
    assert "jane" not in text


def test_the_sections_are_in_their_order(written):
    sections = re.findall(r'<section id="(\w+)"', written["binary"][0])
    assert sections == [
        "summary", "data", "training", "discrimination", "threshold", "calibration", "benefit", "certainty",
        "subgroups", "explanations", "files", "limits", "reproduction",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_of_the_test_is_there_with_its_interval(written, kind):
    text, report, _ = written[kind]
    words = Page(text).text
    for figures in (
        report.evaluation.details.metrics.estimates,
        *report.evaluation.details.metrics.by_finding.values(),
    ):
        digits = 4 if figures is report.evaluation.estimates else 3
        for name, one in figures.items():
            if name not in ("accuracy", "balanced_accuracy", "f1", "brier") or digits == 4:
                value, low, high = (in_digits(part, digits) for part in (one.value, one.low, one.high))
                assert f"{value} ({low}–{high})" in words, name


def test_the_summary_counts_a_hundred_images(written):
    text, report, _ = written["binary"]
    sensitivity, specificity = (report.evaluation.estimates[name].value for name in ("sensitivity", "specificity"))
    found, alarms = round(100 * sensitivity), round(100 * (1 - specificity))
    words = Page(text).text
    assert f"Of 100 images with PNEUMONIA it finds {found} and misses {100 - found}" in words
    assert f"Of 100 images without it, it raises {alarms} false alarms" in words


def test_what_the_data_cannot_tell_is_a_dash_with_the_reason(tmp_path):
    words = written_words(without_positives(report_of("binary")), tmp_path)
    assert "The test has no image with PNEUMONIA" in words
    assert "– (no image of class PNEUMONIA)" in words
    assert "no threshold can be judged" in words
    assert not re.search(r"\bnan\b", words)


def test_a_file_that_misses_its_gate_is_named_with_the_reason(tmp_path):
    (row,) = report_of("binary").parity
    assert "misses its gate" not in written_words(report_of("binary"), tmp_path / "kept")
    missing = replace(report_of("binary"), parity=(replace(row, failed_gates=("mean |Δp| 0.04 > 0.03",)),))
    assert "model.keras misses its gate: mean |Δp| 0.04 > 0.03" in written_words(missing, tmp_path / "missed")


def written_words(report, folder):
    folder.mkdir(exist_ok=True)
    page.write(report, folder)
    return Page((folder / page.NAME).read_text(encoding="utf-8")).text


def test_a_slider_is_there_where_a_threshold_decides(written):
    documents = {kind: json.loads(Page(text).scripts[0]) for kind, (text, _, _) in written.items()}
    assert [one["finding"] for one in documents["binary"]] == ["PNEUMONIA"]
    assert [one["finding"] for one in documents["multi_label"]] == list(KINDS["multi_label"])
    assert documents["multi_class"] == []


@pytest.mark.parametrize("kind", ["binary", "multi_label"])
def test_thresholds_count_what_the_answers_say(kind):
    report = report_of(kind)
    found = thresholds.choices(report.evaluation.details.test, report.fit.decoder.thresholds, None)
    for number, one in enumerate(found):
        test = report.evaluation.details.test
        known = test.targets[:, number] >= 0
        truth, likely = (
            report.evaluation.details.test.targets[known, number] == 1,
            report.evaluation.details.test.probabilities[known, number],
        )
        for point in one.points[:: len(one.points) // 7]:
            called = likely >= point.threshold
            counts = [
                (truth & called).sum(),
                (~truth & called).sum(),
                (truth & ~called).sum(),
                (~truth & ~called).sum(),
            ]
            assert [point.tp, point.fp, point.fn, point.tn] == counts
        chosen, figures = one.points[one.start], report.evaluation.by[one.finding]
        assert chosen.threshold == report.fit.decoder.thresholds[number]
        assert {name: str(figures[name]) for name in chosen.estimates} == {
            name: str(estimate) for name, estimate in chosen.estimates.items()
        }


def test_many_probabilities_are_thinned_and_the_operating_point_stays():
    report = report_of("binary", images=12_000)
    (found,) = thresholds.choices(report.evaluation.details.test, report.fit.decoder.thresholds, None)
    assert len(found.points) == thresholds.MOST
    assert found.points[found.start].threshold == report.fit.decoder.thresholds[0]
    assert len(json.dumps(thresholds.document((found,)))) < 100_000


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_text_and_never_markup(tmp_path, kind):
    names = tuple(f"{name}{ATTACK}" for name in KINDS[kind])
    page.write(report_of(kind, names, source=ATTACK), tmp_path)
    text = (tmp_path / page.NAME).read_text(encoding="utf-8")
    found = Page(text)
    assert "<script>alert" not in text
    assert text.count("<script") == len(found.scripts) == 2
    assert f"{KINDS[kind][-1]}{ATTACK}" in found.text
    assert [one["finding"] for one in json.loads(found.scripts[0])] in ([], list(names[1:]), list(names))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_folds_links_each(tmp_path, kind):
    report = report_of(kind)
    parts = {"fold 1": report.evaluation, ATTACK: report.evaluation}
    folds.write(report.recipe, report.task, parts, report.evaluation, True, "2026-11-26 17:58, in 9 s", tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = Page(text)
    assert {"fold-1/report.html", "fold-2/report.html", "audit.html"} <= set(found.addresses)
    assert "<script>" not in text
    assert "say nothing about patients" in found.text
    assert "Made 2026-11-26 17:58, in 9 s" in found.text
    assert all(re.search(r"\d", image["alt"]) for image in found.images)


def test_the_gallery_shows_each_image_beside_what_raised_its_score(tmp_path):
    files = {}
    for name in ("PNG", "JPEG"):
        file = io.BytesIO()
        Image.new("L", (8, 8)).save(file, name)
        files[name] = file.getvalue()
    whys = ("most confident, right", "most confident, right", "most uncertain")
    tiles = [
        ExampleImage(Case(row, "logits", 0, why, f"{ATTACK} 0.9{row}"), f"film-{row}", *files.values())
        for row, why in enumerate(whys)
    ]
    page.write(replace(report_of("binary"), tiles=tuple(tiles)), tmp_path)
    found = Page((tmp_path / page.NAME).read_text(encoding="utf-8"))
    shown = [image for image in found.images if ATTACK in image["alt"]]
    assert [image["src"].split(";")[0] for image in shown] == 3 * ["data:image/png", "data:image/jpeg"]
    assert found.text.index("Most confident, right") < found.text.index("Most uncertain")
    assert all(f"film-{row}" in found.text for row in range(3))
    assert "raised most in this image" in found.text  # the colour scale


def test_the_sheet_shows_training_images_with_their_labels_as_they_are_and_varied(written, tmp_path):
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG")
    samples = tuple(Sample(f"{ATTACK}{row}.png", ATTACK, 3 * (file.getvalue(),)) for row in range(2))
    page.write(replace(report_of("binary"), samples=samples), tmp_path)
    found = Page((tmp_path / page.NAME).read_text(encoding="utf-8"))
    shown = [image["alt"] for image in found.images if ATTACK in image["alt"]]
    assert len(shown) == 6
    assert sum("varied" in text for text in shown) == 4
    assert f"{ATTACK} {ATTACK}1.png" in found.text
    assert "As the model sees them" not in Page(written["binary"][0]).text


def test_date_and_duration_are_told(written, tmp_path):
    assert "Made 2026-11-26 17:58, in 3 min 5 s" in Page(written["binary"][0]).text
    report = report_of("binary")
    resumed = replace(report, environment={**report.environment, "resumed": True})
    assert "in 3 min 5 s since it was resumed" in written_words(resumed, tmp_path)


def test_a_reliability_that_calibration_left_as_it_was_is_drawn_once(tmp_path):
    report = report_of("binary")
    for name, same in {"calibrated": False, "as it was": True}.items():
        details = report.evaluation.details
        tables = dict(details.reliability)
        tables["before"] = tables["after"].copy() if same else tables["after"].assign(observed=0.5)
        evaluation = replace(report.evaluation, details=replace(details, reliability=tables))
        made = tmp_path / name
        made.mkdir()
        page.write(replace(report, evaluation=evaluation), made)
        found = Page((made / page.NAME).read_text(encoding="utf-8"))
        assert len([image for image in found.images if "claimed and observed" in image["alt"]]) == 2 - same
        assert len({image["src"] for image in found.images}) == len(found.images)


def test_splits_are_counted_by_patient_and_class():
    manifest = report_of("binary").manifest
    for row in page.split_rows(manifest):
        part = manifest.table[manifest.table["split"] == row.name]
        assert (row.patients, row.images) == (part["patient"].nunique(), len(part))
        assert row.members == tuple(np.bincount(part["label"], minlength=2))
