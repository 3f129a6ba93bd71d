"""A chief and its workers, by KerasTuner's environment variables, on this machine."""

import os
import signal
import socket
import subprocess
import sys
import time

import pandas as pd
import pytest

from kmedtl.cli import main
from kmedtl.errors import UserError
from kmedtl.search import distributed


@pytest.fixture
def cluster(monkeypatch):
    """Environment variables of a chief on a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv(distributed.ADDRESS, "127.0.0.1")
    monkeypatch.setenv(distributed.PORT, str(port))
    monkeypatch.setenv(distributed.ID, "worker-1")
    return port


def test_roles_follow_from_the_environment(cluster, monkeypatch):
    assert distributed.role() == "worker"
    monkeypatch.setenv(distributed.ID, "chief")
    assert distributed.role() == "chief"
    monkeypatch.delenv(distributed.ID)
    with pytest.raises(UserError, match=r"expected KERASTUNER_TUNER_ID"):
        distributed.role()
    monkeypatch.delenv(distributed.ADDRESS)
    assert distributed.role() == "alone"


def test_a_chief_that_cannot_be_reached_is_named_in_time(cluster):
    assert distributed.REACH < 30
    start = time.monotonic()
    with pytest.raises(UserError, match=rf"127\.0\.0\.1:{cluster}: the chief of the search did not answer"):
        distributed.reach_chief(seconds=0.5)
    assert time.monotonic() - start < 5


def test_an_address_or_port_that_cannot_be_used_is_refused(cluster, monkeypatch):
    distributed.check_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv(distributed.PORT, str(taken.getsockname()[1]))
        with pytest.raises(UserError, match="cannot listen there"):
            distributed.check_port()
    monkeypatch.setenv(distributed.PORT, "eight")
    with pytest.raises(UserError, match="a port from 1 to 65535"):
        distributed.check_port()


def test_several_machines_need_a_shared_folder(cluster, options, capsys):
    assert main(["search", "pneumonia", *options]) == 2
    assert "expected --out, a folder that chief and workers share" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_completes_although_a_worker_is_killed(cluster, options, tmp_path):
    folder = tmp_path / "shared"
    words = ["search", "pneumonia", *options, "--trials", "5", "--tuner", "random", "--out", str(folder)]

    def start(name):
        environment = os.environ | {distributed.ID: name}
        with (tmp_path / f"{name}.log").open("w") as log:
            return subprocess.Popen([sys.executable, "-m", "kmedtl", *words], env=environment, stdout=log, stderr=log)

    chief = start("chief")
    while not (folder / "trials" / "oracle.json").exists():
        assert chief.poll() is None, (tmp_path / "chief.log").read_text()
        time.sleep(0.1)
    workers = [start("worker-1"), start("worker-2")]
    try:
        killed = _kill_at_work(workers[0], folder / "trials" / "oracle.json")
        assert workers[1].wait(timeout=400) == 0, (tmp_path / "worker-2.log").read_text()
        assert chief.wait(timeout=200) == 0, (tmp_path / "chief.log").read_text()
    finally:
        for process in (chief, *workers):
            process.kill()
            process.wait()
    table = pd.read_csv(folder / "search.csv")
    assert len(table) == 5
    assert set(table["status"]) <= {"completed", "pruned"}
    assert table.loc[table["trial"] == int(killed), "worker"].item() == "worker-2"
    assert (folder / "winner" / "metrics.json").is_file()


def _kill_at_work(worker, state):
    """Kill a worker while it is at a trial; return the trial."""
    import json

    while True:
        time.sleep(0.05)
        try:
            at = json.loads(state.read_text())["ongoing_trials"].get("worker-1")
        except ValueError:  # it is being written
            continue
        if at is not None:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            return at
