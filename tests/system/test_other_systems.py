"""Without the modules that only Unix has, all that a scanner ships is there, and answers."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
# As on Windows: no such modules, and nothing of them in those that there are.
WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "resource", "grp", "pwd", "termios", "posix", "tty", "pty", "syslog"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import os, signal
for name in ("fcntl", "resource", "grp", "pwd", "termios"):
    sys.modules.pop(name, None)
for module, names in ((os, ("posix_fallocate", "sysconf", "mkfifo", "getuid", "geteuid", "fork", "sched_getaffinity")),
                      (signal, ("SIGALRM", "setitimer", "ITIMER_REAL", "alarm", "SIGHUP", "SIGPIPE"))):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
"""


def without(code, *arguments, folder):
    """Run code in a process that starts so; the workers that it starts do as well."""
    (folder / "sitecustomize.py").write_text(WITHOUT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _shipped():
    """Return the names of all modules in the wheel but those that start a program."""
    shipped = tomllib.loads((ROOT / "edge" / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    files = [path for name in shipped["packages"] for path in (ROOT / name.replace(".", "/")).glob("[!_]*.py")]
    return shipped["py-modules"] + [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]


def test_all_that_a_scanner_ships_is_imported(tmp_path):
    done = without(f"import importlib\nfor name in {_shipped()!r}: importlib.import_module(name)", folder=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["kmedtl.cli", "kmedtl.edge.cli"])
def test_both_programs_say_what_they_can(module, tmp_path):
    code = f"import sys; from {module} import main; sys.argv[0] = 'x'; main(['--help'])"
    done = without(code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "predict" in done.stdout


@pytest.mark.slow
def test_the_rooms_that_need_tensorflow_are_imported(tmp_path):
    names = ("kmedtl.runner", "kmedtl.search.run", "kmedtl.runs.environment", "kmedtl.runs.export_run")
    done = without(f"import importlib\nfor name in {names!r}: importlib.import_module(name)", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_model_answers_and_a_file_that_takes_too_long_does_not_stop_it(tmp_path, model):
    for name in ("a", "b"):
        Image.fromarray(np.full((40, 40), 180, np.uint8)).save(tmp_path / f"{name}.png")
    code = "import sys; from kmedtl.edge.cli import main; sys.exit(main(sys.argv[1:]))"
    done = without(code, "predict", model, tmp_path / "a.png", tmp_path / "b.png", "--format", "csv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("BRIGHT") == 2
