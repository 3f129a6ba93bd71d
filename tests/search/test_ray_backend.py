"""Searches whose trials Ray carries out, on this machine; in processes of their own, since Ray leaves much behind."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from kmedtl.cli import main

pytest.importorskip("ray", reason="an optional dependency")


@pytest.mark.slow
def test_two_workers_carry_out_a_search_although_one_is_killed(options, tmp_path):
    folder = tmp_path / "found"
    words = [sys.executable, "-m", "kmedtl", "search", "pneumonia", *options, "--out", str(folder)]
    words += ["--trials", "4", "--tuner", "random", "--ray", "local", "--workers", "2"]
    eager = os.environ | {"RAY_worker_niceness": "0"}  # beside other tests its workers would hardly come to work
    search = subprocess.Popen(words, env=eager, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        while len(logs := list(folder.glob("trials-*.log"))) < 2:
            assert search.poll() is None, search.stdout.read().decode()
            time.sleep(0.05)
        killed = logs[0].stem.rpartition("-")[2]
        os.kill(int(killed), signal.SIGKILL)
        said = search.communicate(timeout=400)[0].decode()
    finally:
        search.kill()
    assert search.returncode == 0, said
    table = pd.read_csv(folder / "search.csv")
    assert len(table) == 4
    assert set(table["status"]) <= {"completed", "pruned"}
    assert not table["worker"].str.endswith(f"-{killed}").any()
    assert (folder / "winner" / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "2"], "--workers: expected --ray as well"),
        (["--ray", "local", "--workers", "-1"], "--workers: expected 0 or more"),
        (["--ray", "127.0.0.1:1"], "--ray 127.0.0.1:1: Ray cannot be reached"),
        (["--ray", "127.0.0.1:one"], "--ray 127.0.0.1:one: Ray cannot be reached"),
    ],
)
def test_what_cannot_be_is_refused_at_once(words, message, options, tmp_path, capsys):
    assert main(["search", "pneumonia", *options, "--out", str(tmp_path / "found"), *words]) == 2
    assert message in capsys.readouterr().err
