"""`kmedtl doctor`: a line an item, and a command for what is missing."""

from __future__ import annotations

import importlib.util

from kmedtl.cli import main
from kmedtl.commands.doctor import EXTRAS


def test_a_line_an_item(cache, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    lines = {line[:20].strip(): line[20:] for line in text.splitlines()}
    for item in ("kmedtl", "Python", "tensorflow", "keras", "processor", "GPUs", "memory", "disk, free here"):
        assert lines[item]
    assert lines["cache"].startswith(f"{cache}: ")
    assert "EfficientNetLite0" in lines["weights at hand"]
    assert "apt-get install chromium" in lines["browser for PDFs"]
    for extra, (module, _) in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        assert lines[f"extra {extra}"] == "installed" if there else f"pip install 'kmedtl[{extra}]'" in text


def test_what_is_missing_has_its_command(capsys, monkeypatch):
    monkeypatch.setitem(EXTRAS, "onnx", ("no_such_module", "exporting ONNX files"))
    assert main(["doctor"]) == 0
    assert "not installed; for exporting ONNX files: pip install 'kmedtl[onnx]'" in capsys.readouterr().out
