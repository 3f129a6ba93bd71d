"""The folder of a run: built aside and renamed at the end, so it is complete or absent, never half.

A run that stops, or is killed, after its first epoch leaves what it needs to go on (`kmedtl.finetune.checkpoint`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from kmedtl.errors import UserError
from kmedtl.files.names import STATE
from kmedtl.system.disk import room_on
from kmedtl.system.locks import try_lock

LOCK = "lock"
REJECTED = ".rejected"  # behind the name of an update that is not accepted
OUTPUT = "output.log"  # what a run says


def choose(out: str | Path | None, recipe: str, resume: bool = False) -> Path:
    """Return where the run shall be: `out`, or `saved_models/<recipe>/<date-time>`.

    Args:
        resume: without `out`: where the youngest unfinished run of the recipe shall be.

    Raises:
        UserError: the folder exists, or there is nothing to resume.
    """
    runs = Path("saved_models") / recipe
    if resume and out is None:
        unfinished = max(runs.glob(".*.unfinished"), key=_last_written, default=None)
        if unfinished is None:
            raise UserError(f"--resume: no unfinished run in {runs}; leave --resume out, or name the folder by --out.")
        return unfinished.with_name(unfinished.name[1 : -len(".unfinished")])
    folder = Path(out) if out else runs / datetime.now().strftime("%Y%m%d-%H%M%S")
    if os.path.lexists(folder):
        reason = "is finished already; nothing to resume" if resume else "exists already"
        raise UserError(f"{folder}: {reason}; name another folder (--out) or remove it.")
    return folder


def rejected(folder: Path) -> Path:
    """Return what an update's folder is called where the update is not accepted, so that nobody takes it for one."""
    return folder.with_name(f"{folder.name}{REJECTED}")


@contextlib.contextmanager
def building(
    folder: Path,
    resume: bool = False,
    log: Callable[[str], None] = print,
    name: Callable[[], Path] | None = None,
) -> Iterator[Path]:
    """Yield a folder to write into; it becomes `folder` at the end, or what `name` says then.

    If the block fails it vanishes, unless it holds the state of a training: then it stays, and `log` receives how to go
    on. The state itself is not part of a finished run.

    Raises:
        UserError: it cannot be made there, the disk is full, another run is writing there, or one was stopped there.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    _make(unfinished, folder, resume)
    with locked(unfinished):
        try:
            with room_on(folder, "make room, or choose another --out"):
                yield unfinished
                folder = unfinished.rename(name() if name else folder)
        except BaseException:
            if not any(unfinished.rglob(STATE)):
                shutil.rmtree(unfinished, ignore_errors=True)
            else:
                log(f"Kept: {unfinished}; the same command with --resume goes on after the last epoch.")
            raise
        for file in (*folder.rglob(STATE), folder / LOCK):
            file.unlink()


def _make(unfinished: Path, folder: Path, resume: bool) -> None:
    if resume:
        if not unfinished.is_dir():
            raise UserError(f"--resume: {folder}: no unfinished run there; leave --resume out to start one.")
        return
    try:
        with contextlib.suppress(FileExistsError):  # a file in the way fails at the next line, with its name
            folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished.mkdir()
    except FileExistsError:
        with locked(unfinished):  # refuses if another run holds it
            if any(unfinished.rglob(STATE)):
                raise UserError(
                    f"{unfinished}: a run was stopped there; --resume goes on with it, or remove it, or choose another "
                    "--out."
                ) from None
            _empty(unfinished)  # killed before there was anything to go on with
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another --out.") from None


def _empty(unfinished: Path) -> None:
    for path in unfinished.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


@contextlib.contextmanager
def locked(folder: Path, other: str = "another run is writing there") -> Iterator[None]:
    """Hold the folder while the block runs; the system lets go of it when the process ends, however it ends.

    Args:
        other: what is said where somebody else holds it.

    Raises:
        UserError: somebody else holds it.
    """
    with (folder / LOCK).open("a") as file:
        if not try_lock(file):
            raise UserError(f"{folder}: {other}; choose another --out.")
        yield


def logged(log: Callable[[str], None], folder: Path) -> Callable[[str], None]:
    """Return what says a text and notes it in `OUTPUT`, whether anybody listens or not."""

    def both(text: str) -> None:
        log(text)
        with (folder / OUTPUT).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{text}\n")

    return both


def _last_written(unfinished: Path) -> float:
    return max(path.stat().st_mtime for path in (unfinished, *unfinished.rglob(STATE)))
