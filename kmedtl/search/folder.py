"""The folder of a search: filled in place, since several processes write there, and finished once its result is there.

Another search that holds it is refused. The lock is the system's, which lets go of it when the process ends, however it
ends: a file `lock` that a killed search left holds nobody up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from kmedtl import config
from kmedtl import recipe as recipes
from kmedtl.errors import UserError
from kmedtl.recipe import Recipe
from kmedtl.runs.run_folder import LOCK, locked

RECIPE, IMAGES, RESULT = "recipe.yaml", "images.sha256", "search.json"


def choose(out: Path | None, recipe: str, resume: bool) -> Path:
    """Return where the search is: `out`, or `saved_models/<recipe>/search-<date-time>`.

    Args:
        resume: without `out`: the youngest unfinished search of the recipe.

    Raises:
        UserError: nothing to go on with, or something in the way.
    """
    runs = Path("saved_models") / recipe
    if out is None and resume:
        unfinished = [path.parent for path in runs.glob(f"search-*/{IMAGES}") if not (path.parent / RESULT).exists()]
        if not unfinished:
            raise UserError(f"--resume: no unfinished search in {runs}; leave --resume out, or name it by --out.")
        return max(unfinished)
    folder = out or runs / f"search-{datetime.now():%Y%m%d-%H%M%S}"
    if (folder / RESULT).exists():
        raise UserError(f"{folder}: the search is finished; choose another --out or remove it.")
    if resume and not (folder / IMAGES).is_file():
        raise UserError(f"--resume: {folder}: no search there; leave --resume out to start one.")
    if not resume and os.path.lexists(folder) and not _is_leftover(folder):
        begun = (folder / IMAGES).is_file()
        remedy = "a search was stopped there; --resume goes on with it, or" if begun else "exists already;"
        raise UserError(f"{folder}: {remedy} choose another --out or remove it.")
    return folder


@contextlib.contextmanager
def held(folder: Path, recipe: Recipe, log: Callable[[str], None] = print) -> Iterator[Path]:
    """Yield the folder, with the recipe in it; nobody else can hold it while the block runs.

    If the block fails before a trial ended, the folder vanishes; else it stays, and `log` receives how to go on.

    Raises:
        UserError: another search is going on there, one began with another recipe, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK).touch()
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another --out.") from None
    with locked(folder, "another search is going on there"):
        goes_on = (folder / IMAGES).is_file()
        if goes_on:
            check_same(folder, recipe)
        recipes.write(recipe, folder / RECIPE)
        try:
            yield folder
        except BaseException:
            if any(folder.glob("trials/*/record.json")):
                log(f"Kept: {folder}; the same command with --out {folder} --resume goes on after the last trial.")
            elif not goes_on:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        (folder / LOCK).unlink()


def check_same(folder: Path, recipe: Recipe) -> None:
    """See that the search there is one of the same recipe, but for how long it goes on.

    Raises:
        UserError: another setting, or no search.
    """
    if not (folder / IMAGES).is_file():
        raise UserError(f"{folder}: expected the folder of the chief's search, which chief and workers must share.")
    changed = config.differences(recipes.read(folder / RECIPE), recipe)
    for name, (before, now) in changed.items():
        if name not in ("search.trials", "search.hours"):
            raise UserError(
                f"{folder}: the search began with {name}={before}. Received: {now}; give the same settings, or choose "
                "another --out."
            )


def check_images(folder: Path, fingerprint: str) -> None:
    """See that everybody who takes part has the same images, divided alike; the first to come says which.

    Raises:
        UserError: they differ: what one trains on, another might test.
    """
    path = folder / IMAGES
    if not path.is_file():
        path.write_text(fingerprint, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != fingerprint:
        raise UserError(
            f"{folder}: the search began with other images, or divided otherwise; use the same files, and for "
            "DICOM the same KMEDTL_SALT, from which patients' names follow."
        )


def _is_leftover(folder: Path) -> bool:
    """Say whether the folder is empty, or a search was killed there before it began."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {str(folder)}
    return not names or {LOCK} <= names <= {LOCK, RECIPE}
