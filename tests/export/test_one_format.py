"""The door of `kmedtl export`, with one format; test_export_command.py has all of them."""

import shutil

from kmedtl.cli import main


def test_a_run_is_exported_and_measured(trained, tmp_path, capsys):
    run = shutil.copytree(trained[1], tmp_path / "RUN")
    assert main(["export", str(run), "--formats", "float32", "--out", str(tmp_path / "files")]) == 0
    assert (tmp_path / "files" / "model_float32.tflite").is_file()
    assert "model_float32.tflite" in capsys.readouterr().out
