import os
import re

import pytest

from kmedtl.cli import main
from kmedtl.report import card, page
from tests.report.synthetic import report_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    page.write(report_of("binary"), place)
    card.write(report_of("binary"), place)
    return place


def test_it_says_where_the_report_is(folder, capsys):
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out.split() == [
        "Report:", str(folder / "report.html"), "Model", "card:", str(folder / "model_card.md"),
    ]  # fmt: skip


def test_it_prints_a_pdf_of_all_pages(folder, chromium, tmp_path, capsys):
    assert main(["report", str(folder), "--pdf", "--out", str(tmp_path / "printed.pdf")]) == 0
    printed = (tmp_path / "printed.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert len(printed) > 50_000
    assert len(re.findall(rb"/Type /Page\b", printed)) > 2
    assert str(tmp_path / "printed.pdf") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--pdf"], "apt-get install chromium"),
        (["--pdf", "--browser", "/nowhere/chrome"], "/nowhere/chrome is no program"),
        (["--out", "report.pdf"], "add --pdf"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(folder, monkeypatch, capsys, tmp_path, arguments, expected):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["report", str(folder), *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == []


def test_a_folder_without_a_report_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "expected a run folder" in capsys.readouterr().err


def test_a_browser_that_fails_is_named(folder, tmp_path, capsys):
    assert main(["report", str(folder), "--pdf", "--browser", "/bin/false", "--out", str(tmp_path / "a.pdf")]) == 2
    error = capsys.readouterr().err
    assert "/bin/false printed nothing" in error
    assert not (tmp_path / "a.pdf").exists()
