"""A run on imported weights tells where they are from, and what they may have seen."""

from __future__ import annotations

import keras
import pytest

from kmedtl.backbones import registry
from kmedtl.backbones.build import build_backbone
from kmedtl.backbones.weights_card import WeightsCard, write_card
from kmedtl.cli import main
from kmedtl.edge import model_info
from kmedtl.recipe import Backbone
from kmedtl.runs.prepare import weights_notes


@pytest.fixture
def weights(tmp_path):
    """Weights of the smallest backbone, with the card of an import."""
    path = tmp_path / "own.weights.h5"
    build_backbone(registry.get("Tiny"), keras.Input((32, 32, 3))).save_weights(path)
    facts = {"source": "a colleague", "trained_on": ("NIH Chest-Xray14", "PHANTOM")}
    write_card(path, WeightsCard("Tiny", "CC BY 4.0", "theirs.pth", "0" * 64, **facts, input_range=(0.0, 1.0)))
    return path


@pytest.mark.parametrize(
    ("source", "count"), [("nih_chest_xray14_png", 1), ("PHANTOM:40", 1), ("kermany", 0), ("nih-and-phantom", 1)]
)
def test_images_that_the_weights_may_have_seen_are_told(source, count, weights):
    assert len(weights_notes(Backbone("Tiny", str(weights)), source)) == count
    assert weights_notes(Backbone("Tiny", "random"), source) == ()


@pytest.mark.slow
def test_the_card_travels_with_the_model(weights, tmp_path, capsys):
    settings = ["backbone.name=Tiny", f"backbone.weights={weights}", "stages=[]", "schedule=untrained"]
    sets = [word for setting in [*settings, "export.formats=[]"] for word in ("--set", setting)]
    out = ["--out", str(tmp_path / "run")]
    assert main(["run", "pneumonia", "--data", "phantom:40", "--size", "32", *sets, *out]) == 0
    assert "trained on PHANTOM" in capsys.readouterr().out
    card = model_info.read(tmp_path / "run").weights
    assert (card["licence"], card["file"], card["input_range"]) == ("CC BY 4.0", "theirs.pth", [0.0, 1.0])
    assert model_info.read(tmp_path / "run" / "model.keras").weights == card
    for name in ("model_card.md", "report.html"):
        text = (tmp_path / "run" / name).read_text()
        assert "CC BY 4.0" in text
        assert str(tmp_path) not in text
    assert main(["inspect", str(tmp_path / "run")]) == 0
    assert "imported weights, theirs.pth, licence CC BY 4.0" in capsys.readouterr().out
