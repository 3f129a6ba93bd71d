"""`kmedtl weights import`: what it prints, and what it refuses before TensorFlow is loaded."""

from __future__ import annotations

import keras
import pytest

from kmedtl.backbones import registry
from kmedtl.backbones.build import build_backbone
from kmedtl.backbones.weights_card import read_card
from kmedtl.cli import main

TINY = ["--backbone", "Tiny", "--licence", "MIT"]


def test_an_import_says_what_it_did_and_what_comes_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    image = keras.Input((32, 32, 3))
    features = build_backbone(registry.get("Tiny"), image).output
    keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(features))).save("theirs.keras")
    trained_on = ["--trained-on", "NIH", "CheXpert"]
    assert main(["weights", "import", "theirs.keras", *TINY, *trained_on, "--input-range=-1024,1024"]) == 0
    told = capsys.readouterr().out
    assert "Left out: 1 tensors of the head" in told
    assert "--set backbone.name=Tiny --set backbone.weights=theirs.weights.h5" in told
    card = read_card(tmp_path / "theirs.weights.h5")
    assert (card.input_range, card.trained_on, card.channel_order) == ((-1024.0, 1024.0), ("NIH", "CheXpert"), "rgb")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone.pth", *TINY], "gone.pth: no such file"),
        (["gone.pth", "--backbone", "Tiny"], "required: --licence"),
        (["gone.pth", *TINY, "--input-range=1"], "expected LOW,HIGH or imagenet"),
        (["gone.pth", *TINY, "--channel-order", "gbr"], "invalid choice"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys):
    assert main(["weights", "import", *words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
