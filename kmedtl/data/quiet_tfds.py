"""TFDS without its download messages and bars: kmedtl downloads nothing here and shows its own progress."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import tensorflow_datasets as tfds


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Silence what TFDS prints on standard output while it prepares a data set."""
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.enable_progress_bar()
