import fcntl
import os

import pytest

from kmedtl.errors import UserError
from kmedtl.files.names import STATE
from kmedtl.runs import run_folder


def test_a_finished_folder_is_complete_and_holds_no_state(tmp_path):
    with run_folder.building(tmp_path / "run") as folder:
        (folder / "fold-1").mkdir()
        for place in (folder, folder / "fold-1"):
            (place / STATE).write_bytes(b"state")
        (folder / "report.html").write_text("done")
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == ["fold-1", "report.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_may_get_its_name_at_the_end(tmp_path):
    found = []
    with run_folder.building(tmp_path / "run", name=lambda: tmp_path / found[0]) as folder:
        (folder / STATE).write_bytes(b"state")
        found.append("run.rejected")
    assert [path.name for path in tmp_path.rglob("*")] == ["run.rejected"]


@pytest.mark.parametrize("has_state", [False, True])
def test_a_run_that_fails_keeps_its_state_and_says_so(tmp_path, has_state):
    said = []

    def interrupted():
        with run_folder.building(tmp_path / "run", log=said.append) as folder:
            if has_state:
                (folder / STATE).write_bytes(b"state")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ([".run.unfinished"] if has_state else [])
    assert len(said) == has_state
    assert not has_state or "the same command with --resume goes on" in said[0]


def test_a_stopped_run_is_not_overwritten_and_can_be_resumed(tmp_path):
    unfinished = tmp_path / ".run.unfinished"
    unfinished.mkdir()
    (unfinished / STATE).write_bytes(b"state")
    with pytest.raises(UserError, match=r"a run was stopped there; --resume goes on"):
        run_folder.building(tmp_path / "run").__enter__()
    with run_folder.building(tmp_path / "run", resume=True) as folder:
        assert folder == unfinished
    assert (tmp_path / "run").is_dir()


def test_a_run_killed_before_its_first_epoch_is_in_nobodys_way(tmp_path):
    (tmp_path / ".run.unfinished" / "plots").mkdir(parents=True)
    (tmp_path / ".run.unfinished" / "recipe.yaml").write_text("name: a\n")
    with run_folder.building(tmp_path / "run") as folder:
        assert [path.name for path in folder.iterdir()] == [run_folder.LOCK]


def test_a_finished_run_survives_a_folder_in_its_way(tmp_path):
    building = run_folder.building(tmp_path / "run", log=lambda text: None)
    folder = building.__enter__()
    (folder / STATE).write_bytes(b"state")
    (tmp_path / "run" / "other").mkdir(parents=True)
    with pytest.raises(OSError, match="not empty"):
        building.__exit__(None, None, None)
    assert (folder / STATE).is_file()


@pytest.mark.parametrize("resume", [False, True])
def test_two_runs_in_one_folder_are_refused(tmp_path, resume):
    (tmp_path / ".run.unfinished").mkdir()
    with (tmp_path / ".run.unfinished" / run_folder.LOCK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another run is writing there"):
            run_folder.building(tmp_path / "run", resume).__enter__()
    assert (tmp_path / ".run.unfinished").is_dir()


def test_resume_finds_the_youngest_unfinished_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no unfinished run in saved_models/thorax"):
        run_folder.choose(None, "thorax", resume=True)
    for age, name in ((10, "older"), (5, "younger")):
        folder = tmp_path / "saved_models" / "thorax" / f".{name}.unfinished"
        folder.mkdir(parents=True)
        os.utime(folder, (1e9 - age, 1e9 - age))
    assert run_folder.choose(None, "thorax", resume=True).name == "younger"
    (tmp_path / "done").mkdir()
    with pytest.raises(UserError, match="is finished already; nothing to resume"):
        run_folder.choose(tmp_path / "done", "thorax", resume=True)
    with pytest.raises(UserError, match="no unfinished run there"):
        run_folder.building(tmp_path / "nothing", resume=True).__enter__()
