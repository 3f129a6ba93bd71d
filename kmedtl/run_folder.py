"""The folder of a run: built aside and renamed at the end, so it is complete or absent, never half."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from kmedtl.errors import UserError


def choose(out: Path | None, recipe: str) -> Path:
    """Return where the run shall be: `out`, or `saved_models/<recipe>/<date-time>`.

    Raises:
        UserError: the folder exists.
    """
    folder = out or Path("saved_models") / recipe / datetime.now().strftime("%Y%m%d-%H%M%S")
    if os.path.lexists(folder):
        raise UserError(f"{folder}: exists already; choose another --out or remove it.")
    return folder


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Yield a folder to write into; it becomes `folder` at the end, or vanishes if the block fails.

    Raises:
        UserError: it cannot be made there.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        with contextlib.suppress(FileExistsError):  # a file in the way fails at the next line, with its name
            folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished.mkdir()
    except FileExistsError:
        raise UserError(
            f"{unfinished}: another run is writing there, or one was killed; remove it or choose another --out."
        ) from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another --out.") from None
    try:
        yield unfinished
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON; NaN, which JSON does not have, becomes null."""
    path.write_text(json.dumps(_without_nan(content), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
