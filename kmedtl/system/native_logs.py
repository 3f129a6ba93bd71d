"""Keeps the C++ layers' chatter out of the terminal without losing an error."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from kmedtl.system.memory import bound_arenas
from kmedtl.system.quiet import is_quiet


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; if the block fails unexpectedly, show it after all.

    TensorFlow and the TFLite converter log from C++, below `sys.stderr` and deaf to logging levels.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def loading_tensorflow() -> Iterator[None]:
    """Say that TensorFlow is being loaded, and keep it quiet and its memory bounded from then on; import it inside."""
    bound_arenas()
    if not is_quiet() and "tensorflow" not in sys.modules:
        print("Loading TensorFlow …", file=sys.stderr)
    with quiet_stderr():
        yield
    for name in ("tensorflow", "absl"):  # advice on tracing and on what will be renamed is not for users
        logging.getLogger(name).setLevel(logging.ERROR)
