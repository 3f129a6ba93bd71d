import getpass
import json
import os
import platform
import subprocess
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest

import kmedtl
from kmedtl.runs.environment import Start, code_hash, commit_of, environment, now


def git(folder, *arguments):
    who = ["-c", "user.name=n", "-c", "user.email=e@e"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("resumed", [False, True])
def test_it_says_when_the_run_began_and_how_long_it_took(resumed):
    began = now() - timedelta(minutes=3)
    found = environment(Start(began, resumed))
    assert datetime.fromisoformat(found["began"]) == began.replace(microsecond=0)
    assert 180 <= found["seconds"] < 200
    assert found["resumed"] == resumed


def test_versions_and_machine_are_told_but_no_person_and_no_path():
    found = environment(Start(now()))
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


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


def commit(folder):
    (folder / "code.py").write_text("1")
    git(folder, "add", "code.py")
    git(folder, "commit", "-qm", "one")
    return git(folder, "rev-parse", "HEAD").strip()


def _plain(folder):
    return folder


def _packed(folder):
    git(folder, "pack-refs", "--all")
    return folder


def _detached(folder):
    git(folder, "checkout", "-q", "--detach")
    return folder


def _on_a_branch(folder):
    git(folder, "checkout", "-qb", "feature/a+b")
    return folder


def _worktree(folder):
    git(folder, "worktree", "add", "-q", "-b", "other", str(folder.parent / "other"))
    return folder.parent / "other"


def _packed_worktree(folder):
    return _worktree(_packed(folder))


@pytest.mark.parametrize("change", [_plain, _packed, _detached, _on_a_branch, _worktree, _packed_worktree])
def test_the_commit_of_a_checkout_is_what_git_says(checkout, change):
    expected = commit(checkout)
    assert commit_of(change(checkout)) == expected


@pytest.mark.parametrize(
    "head",
    ["ref: refs/heads/gone", "ref: ../../secret", "ref: refs/../../secret", "", "nonsense", "ref: refs/heads/\0"],
)
def test_what_is_no_commit_is_none(checkout, head):
    (checkout / "secret").write_text("0" * 40)
    (checkout / ".git" / "HEAD").write_text(head)
    assert commit_of(checkout) is None


def test_without_a_repository_nothing_is_claimed(tmp_path):
    assert commit_of(tmp_path) is None
    (tmp_path / ".git").write_text("gitdir: nowhere")
    assert commit_of(tmp_path) is None


def test_nothing_that_the_users_folder_configures_is_run(checkout, monkeypatch, tmp_path):
    commit(checkout)
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    hook.chmod(0o755)
    git(checkout, "config", "core.fsmonitor", str(hook))
    git(checkout, "config", "core.fsmonitorHookVersion", "1")
    monkeypatch.chdir(checkout)
    found = environment(Start(now()))
    assert not (tmp_path / "ran").exists()
    assert found["commit"] == commit_of(Path(kmedtl.__file__).parents[1])


def test_the_hash_of_the_code_changes_with_it(tmp_path):
    (tmp_path / "a.py").write_text("1")
    before = code_hash(tmp_path)
    (tmp_path / "a.py").write_text("2")
    changed = code_hash(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert len({before, changed, code_hash(tmp_path)}) == 3
