"""An ONNX file may name other files and operations of other makers; a classifier needs neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kmedtl.errors import UserError

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")


def check_onnx(path: Path) -> None:
    """Refuse an `.onnx` file with weights in other files or operations that are not ONNX's own.

    Raises:
        UserError: as said, or no ONNX model, or onnx is not installed.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise UserError(f"{path}: needs onnx, which is not installed; pip install 'kmedtl[onnx]'.") from None
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError):
        raise UserError(f"{path}: not an ONNX model; export it anew.") from None
    for part in _parts(model):
        if isinstance(part, onnx.NodeProto) and part.domain not in DOMAINS:
            raise UserError(
                f"{path}: holds the operation '{part.domain}.{part.op_type}', which is not ONNX's own; open no model "
                "of unknown origin."
            )
        if isinstance(part, onnx.TensorProto) and (part.external_data or part.data_location):
            elsewhere = {entry.key: entry.value for entry in part.external_data}.get("location", "another file")
            raise UserError(
                f"{path}: the weights '{part.name}' lie in {elsewhere!r}; expected one file that holds all; open no "
                "model of unknown origin."
            )


def _parts(message: Any) -> Iterator[Any]:
    """Yield the message and all messages within it, graphs of loops and functions included."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in value if field.is_repeated else [value]:
                yield from _parts(part)
