import re
from dataclasses import replace

import pytest

from kmedtl.report import card
from tests.report.synthetic import KINDS, report_of, without_positives

FIELDS = [
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
    "Ethical considerations", "Caveats and recommendations", "MI-CLAIM checklist",
]  # fmt: skip


def card_of(report, folder):
    card.write(report, folder)
    return (folder / card.NAME).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_has_its_fields_and_the_tests_figures(tmp_path, kind):
    report = report_of(kind)
    text = card_of(report, tmp_path)
    assert re.findall(r"^## (.+)$", text, flags=re.M) == FIELDS
    for figures in (
        report.evaluation.details.metrics.estimates,
        *report.evaluation.details.metrics.by_finding.values(),
    ):
        for one in figures.values():
            assert f"| {one} |" in text
    assert {row[0] for row in re.findall(r"^\| ([1-6])\. ", text, flags=re.M)} == set("123456")


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_tables(tmp_path, kind):
    for block in re.findall(r"(?:^\|.*\n)+", card_of(report_of(kind), tmp_path), flags=re.M):
        rows = block.splitlines()
        assert re.fullmatch(r"\|( --- \|)+", rows[1])
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, rows[0]


def test_what_only_a_person_knows_is_a_marked_blank(tmp_path):
    text = card_of(report_of("binary"), tmp_path)
    for field in FIELDS[:6] + FIELDS[7:9]:
        section = text.split(f"## {field}\n")[1].split("\n## ")[0]
        assert "> **To be filled in by a person:**" in section, field


def test_date_and_duration_are_told(tmp_path):
    assert "- Made: 2026-11-26 17:58, in 3 min 5 s\n" in card_of(report_of("binary"), tmp_path)


@pytest.mark.slow
def test_what_the_data_cannot_tell_has_its_reason(tmp_path):
    text = card_of(without_positives(report_of("binary")), tmp_path)
    assert "| AUC | – (no image of class PNEUMONIA) |" in text
    assert "nan" not in text


def test_a_file_that_misses_its_gate_is_named(tmp_path):
    (row,) = report_of("binary").parity
    missing = replace(report_of("binary"), parity=(replace(row, failed_gates=("decisions changed 0.04 > 0.01",)),))
    assert "**model.keras misses its gate**: decisions changed 0.04" in card_of(missing, tmp_path)


def test_names_are_text_and_never_markup(tmp_path):
    names = ("no | [a](javascript:b)", "<script>alert(1)</script>\n# b")
    text = card_of(report_of("binary", names), tmp_path)
    assert "<script" not in text
    assert "[a]" not in text
    assert "\n# b" not in text
    assert r"no \| \[a\](javascript:b)" in text


def test_a_leak_that_the_recipe_allowed_is_told(tmp_path):
    report = report_of("binary")
    assert "No patient is in two splits." in card_of(report, tmp_path)
    text = card_of(replace(report, audit=replace(report.audit, leaks=(("a", "b"),))), tmp_path)
    assert "No patient is in two splits." not in text
    assert "the figures are too good" in text


def test_a_calibration_that_the_recipe_names_was_not_chosen(tmp_path):
    report = report_of("binary")
    evaluation = replace(report.recipe.evaluation, calibration="temperature")
    text = card_of(replace(report, recipe=replace(report.recipe, evaluation=evaluation)), tmp_path)
    assert "asked for by the recipe, fitted on validation" in text
