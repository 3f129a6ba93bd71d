"""Import weights that another program trained: read, matched, checked, written with a card. Read it from the top."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from kmedtl.backbones import registry
from kmedtl.backbones.build import build_backbone
from kmedtl.backbones.from_keras import fill_from_keras
from kmedtl.backbones.from_torch import Filled, fill_from_torch
from kmedtl.backbones.normalisation import normalisation, own_order
from kmedtl.backbones.readers.state_dict import READERS, read_tensors
from kmedtl.backbones.spec import Backbone
from kmedtl.backbones.torch_layout import layout_of
from kmedtl.backbones.weights_card import ChannelOrder, InputRange, WeightsCard, write_card
from kmedtl.errors import UserError

KERAS = (".keras", ".h5")
WEIGHTS = ".weights.h5"


@dataclass(frozen=True)
class Statement:
    """What whoever imports weights says of them; see `WeightsCard`. No order of channels: as the range has it."""

    licence: str
    source: str = ""
    trained_on: tuple[str, ...] = ()
    input_range: InputRange = "backbone"
    channel_order: ChannelOrder | None = None


def import_weights(path: Path, backbone: str, said: Statement, out: Path) -> WeightsCard:
    """Write the weights of a file as `out`, which `backbone.weights` takes; return their card.

    Args:
        path: `.weights.h5`, `.h5`, `.keras`, `.safetensors`, `.pt` or `.pth`.
        backbone: a name of the registry.

    Raises:
        UserError: a file that is not there, damaged, of another backbone or more than weights; an unknown backbone; a
            statement that cannot be; `out` cannot be written. Nothing is left half-written.
    """
    row = registry.get(backbone)
    _check_files(path, out)
    order: ChannelOrder = said.channel_order or (own_order(row) if said.input_range == "backbone" else "rgb")
    expected = normalisation(row, said.input_range, order)
    card = WeightsCard(
        row.name, said.licence, path.name, _sha256(path), said.source, said.trained_on, said.input_range, order
    )
    model, filled = _filled(row, path)
    if filled.channels == 1 and expected.by_channel:
        raise UserError(
            f"{path}: its first convolution takes one channel, and {row.name} normalises each of three otherwise; say "
            "what it expects, as --input-range=-1,1."
        )
    card = replace(card, left_out=filled.left_out, adaptations=filled.adaptations)
    _write(model, card, out)
    return card


def _check_files(path: Path, out: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path.")
    if path.suffix not in (*KERAS, *READERS):
        raise UserError(f"{path}: expected a file of weights: {', '.join((WEIGHTS, *KERAS, *READERS))}.")
    if not out.name.endswith(WEIGHTS):
        raise UserError(f"{out}: expected a name that ends in {WEIGHTS}; choose another --out.")
    if os.path.lexists(out):
        raise UserError(f"{out}: exists already; choose another --out, or remove it.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _filled(row: Backbone, path: Path) -> tuple[keras.Model, Filled]:
    """Return the backbone with the file's weights; what is no state dict is refused before a network is built."""
    if path.suffix in KERAS:
        model = _backbone(row)
        return model, fill_from_keras(model, row, path)
    layout, tensors = layout_of(row), read_tensors(path)
    model = _backbone(row)
    return model, fill_from_torch(model, row, layout, path, tensors)


def _backbone(row: Backbone) -> keras.Model:
    side = max(row.min_size, 64)  # of an image that nobody gives: weights are the same at any size
    return build_backbone(row, keras.Input((side, side, 3)))


def _write(model: keras.Model, card: WeightsCard, out: Path) -> None:
    """Write weights and card, the whole or nothing.

    Raises:
        UserError: the file cannot be written.
    """
    aside = out.with_name(f".unfinished-{out.name}")  # Keras goes by how the name ends
    try:
        model.save_weights(aside)
        write_card(aside, card)
        aside.replace(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); choose another --out.") from None
    finally:
        aside.unlink(missing_ok=True)
