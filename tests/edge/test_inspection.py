"""`kmedtl inspect` and `kmedtl-edge inspect`: what a model file says about itself."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import pytest

from kmedtl.cli import main as kmedtl
from kmedtl.edge import model_info
from kmedtl.edge.cli import main as kmedtl_edge
from kmedtl.edge.updates import UpdateRecord
from kmedtl.errors import UserError

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


@PROGRAMS
def test_updates_and_what_their_gate_found_are_told(main, model, info, tmp_path, capsys):
    first = UpdateRecord("a" * 64, "RUN", "2026-11-27", "north", 90, 300, "images", "AUC kept", "AUC rose", True)
    second = replace(first, parent="b" * 64, run="SECOND", replayed=0, replay="none", new="AUC fell", accepted=False)
    path = shutil.copy(model, tmp_path / "updated.tflite")
    model_info.attach(replace(info, updated=(first, second)), path)
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert f"accepted: from RUN (SHA-256 {'a' * 12}…), 2026-11-27, 90 new training images of north" in text
    assert "REJECTED: from SECOND" in text
    assert "old test: AUC kept; new test: AUC fell" in text
    assert model_info.read(path).updated == (first, second)


@pytest.mark.parametrize("wrong", [{"parent": "short"}, {"date": "yesterday"}, {"images": -1}])
def test_a_lineage_that_cannot_be_is_refused(wrong):
    sound = {"parent": "a" * 64, "run": "RUN", "date": "2026-11-27", "source": "north", "images": 9, "replayed": 0}
    with pytest.raises(UserError, match="updated: "):
        UpdateRecord(**(sound | wrong), replay="none", old="", new="", accepted=True)
