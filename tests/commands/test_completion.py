"""`kmedtl completion`: bash asks the script, as it does when somebody presses Tab."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from kmedtl.cli import COMMANDS, main


@pytest.fixture
def complete(capsys, tmp_path):
    """Return what bash offers after the words of a line, the last of which is begun."""
    assert main(["completion", "bash"]) == 0
    (tmp_path / "kmedtl.bash").write_text(capsys.readouterr().out)

    def ask(*words):
        line = " ".join(f"'{word}'" for word in words)
        script = (
            f"source {tmp_path / 'kmedtl.bash'}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
            "_kmedtl; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    return ask


def test_bash_completes_commands_options_recipes_and_backbones(complete):
    assert complete("kmedtl", "") == list(COMMANDS)
    assert complete("kmedtl", "ex") == ["export"]
    assert complete("kmedtl", "run", "pn") == ["pneumonia"]
    assert {"--set", "--seed", "--size"} <= set(complete("kmedtl", "run", "pneumonia", "--s"))
    assert "EfficientNetLite0" in complete("kmedtl", "run", "pneumonia", "--backbone", "Eff")
    assert complete("kmedtl", "predict", "RUN", "--format", "j") == ["json", "jsonl"]
    assert complete("kmedtl", "store", "")[:3] == ["list", "clear", "build"]
    assert complete("kmedtl", "completion", "f") == ["fish"]
    assert complete("kmedtl", "run", "pneumonia", "--out", "sa") == []  # left to bash's own names of files


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_that_it_can_read(shell, capsys, tmp_path):
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert "pneumonia" in script.read_text()
    assert "lr-find" in script.read_text()
    if shutil.which(shell):
        subprocess.run([shell, "-n", script], check=True)
