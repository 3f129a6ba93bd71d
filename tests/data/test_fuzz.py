"""No damaged file crashes, stalls or starves `decode_all`, or is lost on the way.

KMEDTL_FUZZ_CASES sets how many are tried (default 2000).
"""

import hashlib
import multiprocessing
import os
import resource
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from kmedtl.images.decode import decode_all
from kmedtl.images.reading import Reading
from kmedtl.images.workers import MAX_MEMORY
from tests.data.fuzz import valid_files, write_cases

CASES = int(os.environ.get("KMEDTL_FUZZ_CASES", "2000"))
READING = Reading(16, 1)


def test_undamaged_files_are_readable(tmp_path):
    for name, content in valid_files().items():
        (tmp_path / name).write_bytes(content)
    files = [(str(path), None) for path in sorted(tmp_path.iterdir())]
    assert [facts.error for facts, _ in decode_all(files, READING)] == [""] * len(files)


@pytest.mark.slow
def test_damaged_files_come_out_as_pixels_or_with_a_reason(tmp_path):
    paths = write_cases(tmp_path, CASES)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:  # whose children are the workers alone
        found, most = apart.submit(_decode_and_measure, paths).result()
    outcomes = Counter()
    assert len(found) == len(paths)
    for path, (facts, pixels) in zip(paths, found, strict=True):
        if pixels is None:
            assert facts.error.strip(), path
            assert "\n" not in facts.error, path
            assert not {"Doe", tmp_path.name} & set(facts.error.split()), path
            assert "exit" not in facts.error, f"{path}: an exception that `read_image` does not know"
        else:
            assert facts.error == ""
            assert pixels.shape == (16, 16, 1)
            assert pixels.dtype == np.uint8
            with open(path, "rb") as file:
                assert facts.sha256 == hashlib.file_digest(file, "sha256").hexdigest(), "not this file's answer"
        outcomes[_outcome(facts.error)] += 1
    print(dict(outcomes), f"most memory of a worker: {most / 1e6:.0f} MB")
    assert outcomes["readable"] > 0.05 * len(paths)
    assert outcomes["unreadable"] > 0.3 * len(paths)
    assert 50e6 < most < MAX_MEMORY + 200e6  # Python and the libraries take up to 200 MB


def _decode_and_measure(paths):
    """The decoded files, and the bytes that the largest worker took."""
    found = list(decode_all([(path, None) for path in paths], READING, seconds=2))
    return found, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _outcome(error):
    if error.startswith("took longer"):
        return "late"
    return "crashed" if "crashed" in error else "unreadable" if error else "readable"
