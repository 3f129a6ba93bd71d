"""Read a `.safetensors` file with NumPy alone: 8 bytes of length, a JSON header, raw tensors.

Format: https://github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

LARGEST = 16_000_000  # bytes of a header; that of the largest backbone has 200,000
BF16 = "BF16"
DTYPES = {"F16": "<f2", BF16: "<u2", "F32": "<f4", "F64": "<f8", "I64": "<i8"}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return every tensor of the file by its name: float16, float32, float64 or int64; bfloat16 becomes float32.

    Raises:
        ValueError, RecursionError: the header is too large or no JSON, a tensor's type is not known, or the tensors do
            not cover the rest of the file one after the other.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LARGEST:
            raise ValueError(f"expected a header of at most {LARGEST} bytes. Received: {length}")
        header = json.loads(file.read(length).decode("utf-8"))
        content = file.read()
    if not isinstance(header, dict):
        raise ValueError("expected a header of tensors by name")
    header.pop("__metadata__", None)
    _check_places(header, len(content))
    return {name: _tensor(entry, content) for name, entry in header.items()}


def _check_places(header: dict[str, Any], size: int) -> None:
    """Refuse tensors that overlap, leave gaps, or lie outside the file.

    Raises:
        ValueError: which is named.
    """
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.get("dtype") not in DTYPES:
            raise ValueError(f"expected one of {', '.join(DTYPES)}. Received: {name!r:.80} of another type")
        shape: Any = entry.get("shape")
        places: Any = entry.get("data_offsets")
        if not _are_counts(shape) or not _are_counts(places) or len(places) != 2:
            raise ValueError(f"expected a shape and two offsets of {name!r:.80}")
        if places[1] - places[0] != math.prod(shape) * np.dtype(DTYPES[entry["dtype"]]).itemsize:
            raise ValueError(f"expected as many bytes as the shape of {name!r:.80} has")
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["data_offsets"][0] != end:
            raise ValueError(f"expected {name!r:.80} at byte {end}. Received: {entry['data_offsets'][0]}")
        end = entry["data_offsets"][1]
    if end != size:
        raise ValueError(f"expected {end} bytes of tensors. Received: {size}")


def _tensor(entry: dict[str, Any], content: bytes) -> np.ndarray:
    begin, count = entry["data_offsets"][0], math.prod(entry["shape"])
    values = np.frombuffer(content, DTYPES[entry["dtype"]], count, begin) if count else np.empty(0, np.float32)
    if entry["dtype"] == BF16:  # the upper half of a float32
        values = (values.astype("<u4") << 16).view("<f4")
    return values.reshape(entry["shape"])


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and len(values) < 9 and all(type(n) is int and 0 <= n < 2**40 for n in values)
