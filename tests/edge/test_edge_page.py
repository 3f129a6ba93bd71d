"""What the page on the scanner tells a reader to type works."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kmedtl import cli
from kmedtl.edge import cli as edge_cli
from tests.data.sources.test_dicom_tree import write_dicom

PAGE = Path(__file__).parents[2] / "docs" / "edge.md"
PROGRAMS = {"kmedtl": cli.main, "kmedtl-edge": edge_cli.main}


def test_commands_of_the_page_run(make_model, mask_model, info, tmp_path, monkeypatch, capsys):
    pytest.importorskip("highdicom")
    make_model(info, "model_int8.tflite")
    shutil.copy(mask_model, tmp_path / "masks_int8.tflite")
    for name in ("film.png", "films/a.png", "films/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((40, 40), 120, np.uint8)).save(tmp_path / name)
    series = {"SeriesInstanceUID": "1.2.840.99.3.0", "Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"}
    write_dicom(tmp_path / "film2.dcm", 0, **series)
    (tmp_path / "list.txt").write_text("film.png\n")
    monkeypatch.chdir(tmp_path)
    commands = [line for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S) for line in block.splitlines()]
    for line in commands:
        program, *arguments = shlex.split(line)
        assert PROGRAMS[program](arguments) == 0, (line, capsys.readouterr().err)
    assert len(commands) == 9
    assert len(list((tmp_path / "reports").iterdir())) == 2
    assert len(list((tmp_path / "why").iterdir())) == 1
    assert len(list((tmp_path / "masks").iterdir())) == 2
    assert len(list((tmp_path / "segmentations").iterdir())) == 1
