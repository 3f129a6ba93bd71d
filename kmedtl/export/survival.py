"""Whether a runtime survives a quantized file: a scale that overflows aborts the process, and a run with it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ANSWER = """
import pathlib, sys
import numpy as np
from kmedtl.edge.litert import LiteRTModel
model = LiteRTModel(pathlib.Path(sys.argv[1]))
fields = model.shapes.fields
model(np.zeros((1, *model.input_shape[1:]), np.uint8), np.zeros((1, fields), np.float32) if fields else None)
"""
SECONDS = 120  # for one answer, the start of the process included


def survives(file: bytes) -> bool:
    """Tell whether LiteRT answers one image with a TFLite file, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candidate.tflite"
        path.write_bytes(file)
        command = [sys.executable, "-c", ANSWER, str(path)]
        try:
            return subprocess.run(command, capture_output=True, timeout=SECONDS, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False
