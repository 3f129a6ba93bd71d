"""Workers may die and files may be anything: every file is answered once, in order."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kmedtl.images.decode import Facts, decode_all
from kmedtl.images.read_image import read_image
from kmedtl.images.reading import Reading
from kmedtl.images.workers import worker_at_hand
from tests.data.fuzz import deflated_zeros, png, tiff

READING = Reading(16, 1)


@pytest.fixture
def files(tmp_path):
    """300 pictures, each of its own brightness and width."""
    for number in range(300):
        Image.new("L", (20 + number, 20), number % 256).save(tmp_path / f"{number:03}.png")
    return [(str(path), None) for path in sorted(tmp_path.iterdir())]


def children(process="self"):
    return Path(f"/proc/{process}/task/{os.getpid() if process == 'self' else process}/children").read_text().split()


def test_answers_are_in_order_and_as_read_image_gives_them(files):
    answers = list(decode_all(files, READING))
    assert len(answers) == len(files)
    for (path, _), (facts, pixels) in zip(files, answers, strict=True):
        picture = read_image(path, READING)
        assert np.array_equal(pixels, picture.pixels)
        assert (facts.width, facts.height, facts.mode, facts.bits) == (picture.width, 20, "L", 8)
        assert facts.error == ""
        assert len(facts.sha256) == 64


def test_a_worker_at_hand_decodes_and_ends_with_the_block(files):
    before = set(children())
    with worker_at_hand("kmedtl.images.decode") as worker:
        found = list(decode_all(files, READING, first=worker))
    assert set(children()) == before
    for (path, _), (facts, pixels) in zip(files, found, strict=True):
        picture = read_image(path, READING)
        assert (facts.width, facts.height) == (picture.width, picture.height)
        np.testing.assert_array_equal(pixels, picture.pixels)


def test_a_worker_at_hand_without_a_file_ends_as_well():
    before = set(children())
    with worker_at_hand("kmedtl.images.decode"):
        assert len(set(children()) - before) == 1
    assert set(children()) == before


def test_no_files_start_nothing():
    assert list(decode_all([], READING)) == []


def test_a_reason_stands_where_the_pixels_would(files):
    missing = ("/nowhere/a.png", None)
    answers = list(decode_all([files[0], missing, files[1]], READING))
    assert answers[1] == (Facts(error="no such file or directory"), None)
    assert [facts.width for facts, _ in answers] == [20, 0, 21]


def test_a_killed_worker_costs_the_file_it_was_at_and_no_other(files):
    before = set(children())  # of other tests, such as a tracker of shared memory
    answers = decode_all(files, READING)
    first = [next(answers)]
    workers = set(children()) - before
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
    found = first + list(answers)
    lost = [facts.error for facts, pixels in found if pixels is None]
    assert len(found) == len(files)
    assert len(lost) <= len(workers)
    assert set(lost) <= {"the decoder crashed on it (SIGKILL)"}
    assert all(facts.width == 20 + number for number, (facts, _) in enumerate(found) if not facts.error)
    assert set(children()) <= before


def test_a_file_that_takes_too_long_is_named(files, tmp_path):
    (tmp_path / "bomb.png").write_bytes(png(9_999, 9_999, 16, 6, deflated_zeros(800)))
    answers = list(decode_all([files[0], (str(tmp_path / "bomb.png"), None), files[1]], READING, seconds=0.5))
    assert [facts.error for facts, _ in answers] == ["", "took longer than 0.5 s", ""]


def test_a_file_that_takes_too_much_memory_is_named(files, tmp_path):
    (tmp_path / "bomb.tif").write_bytes(tiff(9_000, 9_000, 32, 3, deflated_zeros(324)))
    answers = list(decode_all([(str(tmp_path / "bomb.tif"), None), files[0]], READING))
    assert [facts.error for facts, _ in answers] == ["needs more memory than there is", ""]


def test_a_broken_off_loop_leaves_no_worker(files):
    before = set(children())
    answers = decode_all(files, READING)
    next(answers)
    assert set(children()) - before
    answers.close()
    assert set(children()) <= before


def test_workers_die_with_their_parent_and_run_no_script_of_the_users(files, tmp_path):
    """The script has no `if __name__ == "__main__"`, and is killed in the middle."""
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from kmedtl.images.decode import decode_all\n"
        "from kmedtl.images.reading import Reading\n"
        f"answers = decode_all({files[:50]!r} * 100, Reading(16, 1))\n"
        "print(next(answers)[0].error, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout.readline() == b"\n"
        workers = children(parent.pid)
        parent.kill()
    assert workers
    deadline = time.monotonic() + 10
    while any(_runs(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(worker) for worker in workers)


def _runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_workers_import_no_framework():
    code = (
        "import sys, kmedtl.images.decode, kmedtl.images.dicom; "
        "print(sorted({'tensorflow', 'keras', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
