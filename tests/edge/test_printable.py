"""Text from outside gives no command to a terminal or a spreadsheet, and comes back from our own CSV as it was."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.cli import main
from kmedtl.data import manifest as manifests
from kmedtl.data import sources
from kmedtl.files.csv_tables import read_csv, write_csv
from kmedtl.recipe import Data
from kmedtl.system.printable import cell, cell_read, shown, shown_json

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "-x.png",
    "'=1",
    "''-x",
]
PLAIN = ["film.png", "-", "-1.5", "+3", "-.5e-3", "1e5", "'quoted'", "", "a=b", "Ödem", "肺炎"]
COMMANDS = ["\x1b[31mred", "a\nb", "a\rb", "\u202egnp.exe", "\x9b2J", "\x07", "\u2066x", "a\u2028b", "\ud800", "\x00"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text_and_comes_back(text):
    assert cell(text) == f"'{text}"
    assert cell_read(cell(text)) == text


@pytest.mark.parametrize("value", [*PLAIN, -1.5, 0, None, float("inf"), True])
def test_what_is_no_formula_stays(value):
    assert cell(value) is value
    assert cell_read(value) is value


@pytest.mark.parametrize("text", COMMANDS)
def test_what_cannot_be_seen_is_escaped(text):
    assert shown(text).isprintable()
    assert shown(text).isascii()
    document = shown_json(json.dumps({"a": text}, ensure_ascii=False))
    assert document.isprintable()
    assert json.loads(document) == {"a": text}


@pytest.mark.parametrize("text", ["film 1.png", "Ödem", "肺炎 ab", "Größe\u00a0XL"])
def test_what_can_be_seen_stays(text):
    assert shown(text) == text


def test_a_table_comes_back(tmp_path):
    texts = [text for text in FORMULAS + PLAIN if text.strip() == text or "=" in text]
    table = pd.DataFrame({"id": texts, "=value": np.linspace(-1, 1, len(texts)), "count": range(len(texts))})
    write_csv(table, tmp_path / "table.csv")
    pd.testing.assert_frame_equal(read_csv(tmp_path / "table.csv", dtype={"id": str}, keep_default_na=False), table)
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        cells = [one for row in csv.reader(file) for one in row]
    assert not [one for one in cells if one[:1] in "=@\t\r" and one]
    assert str(table["=value"].min()) in cells


def _films(folder, names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (40, 40), np.uint8)).save(path)


def test_a_manifest_that_kmedtl_wrote_is_read_as_it_was(tmp_path, monkeypatch):
    names = ["=1+1/-a.png", "=1+1/@b.png", "-none/=c.png", "-none/+d.png"]
    _films(tmp_path / "films", names)
    first = sources.load(Data(str(tmp_path / "films"), patient_pattern="([-@=+][a-d])"), seed=0)
    manifests.write(first, tmp_path / "films" / "manifest.csv")
    with (tmp_path / "films" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row[name].startswith("'") for row in rows for name in ("id", "label", "patient"))
    again = sources.load(Data(str(tmp_path / "films" / "manifest.csv")), seed=0)
    assert again.classes == first.classes == ("-none", "=1+1")
    for name in ("id", "patient", "path"):
        assert list(again.table[name]) == list(first.table[name])


def test_names_are_shown_and_obeyed_by_nobody(tmp_path, model):
    """Through a real pipe, as a terminal would get it."""
    evil = "\x1b[2J\u202e\nerror: all is well.png"
    _films(tmp_path, [evil, "=good.png"])
    (tmp_path / f"{evil}.broken.png").write_bytes(b"")
    files = [tmp_path / evil, tmp_path / f"{evil}.broken.png", tmp_path / f"{evil}.absent.png", "=good.png"]
    for style in ("table", "json", "jsonl", "csv"):
        command = [sys.executable, "-m", "kmedtl.edge", "predict", model, *files, "--format", style]
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, check=False)
        told = (done.stdout + done.stderr).decode()
        assert "\x1b" not in told
        assert "\u202e" not in told
        if style != "csv":  # where a cell may be of several lines
            assert not [line for line in told.splitlines() if line.startswith("error: all is well")]
        if style == "csv":
            assert "\n'=good.png," in done.stdout.decode()
    done = subprocess.run([sys.executable, "-m", "kmedtl.edge", "predict", tmp_path / evil, "a"], capture_output=True)
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr
    assert len(done.stderr.decode().splitlines()) == 1


def test_labels_are_shown_in_the_audit(tmp_path, capsys):
    _films(tmp_path / "films", ["A\x1b[31m/1.png", "A\x1b[31m/2.png", "B/1.png", "B/2.png"])
    labels = tmp_path / "labels.csv"
    labels.write_text('path,label\nfilms/1.png,"A\x1b[31m\nC"\nfilms/2.png,B\n', encoding="utf-8")
    _films(tmp_path / "films", ["1.png", "2.png"])
    assert main(["audit", str(labels), "--set", "data.size=32", "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "A\\x1b[31m\\nC: 1 images" in told
    assert Path(tmp_path / "out").is_dir()


def test_a_long_name_costs_no_explanation(tmp_path, model, capsys):
    from kmedtl.edge.cli import main as edge

    names = ["a" * 246 + ".png", "ö" * 120 + ".png"]
    _films(tmp_path, names)
    files = [str(tmp_path / name) for name in names]
    assert edge(["predict", str(model), *files, "--explain", str(tmp_path / "why"), "--format", "jsonl"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(Path(answer["explanation"]).is_file() for answer in told)
