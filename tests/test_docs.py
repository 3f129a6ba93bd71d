"""What the pages tell a reader to type works."""

import re
import shlex
from pathlib import Path

import numpy as np

from kmedtl.cli import main
from tests.conftest import write_image_folder
from tests.data.sources.test_dicom_tree import label, write_dicom, write_labels
from tests.data.sources.test_packed import arrays

PAGE = Path(__file__).parents[1] / "docs" / "data.md"


def test_commands_of_the_page_on_data_run(tmp_path, monkeypatch, capsys):
    write_image_folder(tmp_path / "films")
    for number in range(12):
        write_dicom(tmp_path / "archive" / f"study{number}" / f"IM{number}", number)
    write_labels(tmp_path / "labels.csv", "PatientID", [[f"MRN-{n}", label(2 * n)] for n in range(6)])
    np.savez(tmp_path / "set.npz", **arrays())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.S)
    commands = [line for block in blocks for line in block.splitlines()]
    assert commands
    for line in commands:
        program, *arguments = shlex.split(line)
        assert program == "kmedtl"
        assert main(arguments) == 0, (line, capsys.readouterr().err)
