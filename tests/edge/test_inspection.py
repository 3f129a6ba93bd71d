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
def test_it_is_told_in_words_that_fit_a_screen(main, model, capsys):
    assert main(["inspect", str(model)]) == 0
    text = capsys.readouterr().out
    for words in (
        "Goes in    one gray image, resized to",
        "the probability of BRIGHT, 0 to 1",
        "BRIGHT from probability 0.500 on, else DARK",
        "can tell images that are unlike those it was trained on",
        "SYNTHETIC images alone",
        "Research only.",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) < 200


@PROGRAMS
def test_a_file_without_metadata_is_refused(main, bare_model, capsys):
    assert main(["inspect", str(bare_model)]) == 2
    assert "kmedtl.json" in capsys.readouterr().err
