import getpass
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from kmedtl.environment import environment, git_state


def git(folder, *arguments):
    who = ["-c", "user.name=n", "-c", "user.email=e@e"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_versions_and_machine_are_told_but_no_person_and_no_path():
    found = environment()
    assert found["python"] == platform.python_version()
    assert found["keras"] == version("keras")
    assert found["host"]["cores"] == os.cpu_count()
    assert found["host"]["memory_gb"] > 0.1
    assert found["host"]["cpu"]
    assert isinstance(found["host"]["gpus"], list)
    text = json.dumps(found)
    assert str(Path.home()) not in text or len(str(Path.home())) < 3
    assert str(Path.cwd()) not in text
    assert platform.node() not in text
    if len(getpass.getuser()) > 4:  # a short name may be part of any word
        assert getpass.getuser() not in text


def test_git_state_is_the_commit_and_whether_it_is_all(tmp_path):
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert git_state(tmp_path) == {"commit": commit, "uncommitted_changes": False}
    (tmp_path / "code.py").write_text("2")
    (tmp_path / "below").mkdir()
    assert git_state(tmp_path / "below") == {"commit": commit, "uncommitted_changes": True}


@pytest.mark.parametrize("installed", [True, False])
def test_without_repository_or_git_nothing_is_claimed(tmp_path, monkeypatch, installed):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if not installed:
        monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None
