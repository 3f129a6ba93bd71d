"""`kmedtl inspect` and `kmedtl-edge inspect`: what a model file says about itself."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from kmedtl.cli import main as kmedtl
from kmedtl.edge.cli import main as kmedtl_edge

PROGRAMS = pytest.mark.parametrize("main", [kmedtl, kmedtl_edge])


@PROGRAMS
def test_json_is_the_whole_document(main, model, info, capsys):
    assert main(["inspect", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(asdict(info)))


@PROGRAMS
def test_the_table_has_a_line_a_field_and_fits_a_screen(main, model, capsys):
    assert main(["inspect", str(model)]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["decoder.classes"] == "DARK, BRIGHT"
    assert rows["decoder.calibration.scale"] == "2"
    assert rows["synthetic"] == "True"
    assert rows["out_of_distribution.components"].endswith("characters")
    assert max(map(len, rows.values())) < 200


@PROGRAMS
def test_a_file_without_metadata_is_refused(main, bare_model, capsys):
    assert main(["inspect", str(bare_model)]) == 2
    assert "kmedtl.json" in capsys.readouterr().err
