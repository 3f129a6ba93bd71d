"""DICOM files as volumes: a row a series, whose path is a folder in the cache with links to the files of it alone.

Archives call their folders after patients and put several series into one; the folder of links tells nothing, and
`kmedtl.images.read_volume` reads it as it reads any folder of a series.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kmedtl.data.pseudonyms import pseudonym
from kmedtl.data.sources import dicom_tags
from kmedtl.errors import UserError
from kmedtl.files.cache import cache_folder, stamp
from kmedtl.images.file_kinds import is_dicom
from kmedtl.recipe import Data

FEWEST = 5  # files a series, on average, that are taken as slices where nobody says what they are
SHARED = ("split", "patient", "site", "label")  # what all files of a series have in common, where they know it


def as_volumes(rows: Sequence[dict], data: Data, source: str, findings: Sequence[str]) -> tuple[list[dict], list[str]]:
    """Return rows in which a DICOM series stands for its files, and what is to be told; or the rows as they are.

    `data.series` says which. `auto` takes files for volumes where all images of the source are DICOM files that say
    where they lie in the patient, `FEWEST` a series or more on average, the files of each are labelled alike, and none
    has a frame or a mask of its own; a DICOM Segmentation of several files is one of their volume. Series of localizers
    are left out.

    Args:
        rows: with the tags of `dicom_tags.add`.
        findings: as of `to_manifest.finish`.

    Raises:
        UserError: `volumes` of a source that has other images, or labels the files of a series differently.
    """
    images = [row for row in rows if not row.get(dicom_tags.OBJECT)]
    if data.series == "images" or not any(dicom_tags.FRAMES in row for row in images):
        return list(rows), []
    named = (*SHARED, *findings)
    series = _by_series(images)
    asked = data.series == "volumes"
    if not asked and not _look_like_volumes(images, series, named):
        return list(rows), []
    others = sum(dicom_tags.FRAMES not in row for row in images)
    if others:
        raise UserError(
            f"{source}: expected DICOM series alone (data.series=volumes). Received: {others} other images."
        )
    scouts = [name for name, files in series.items() if all(row[dicom_tags.SCOUT] for row in files)]
    kept = {name: files for name, files in series.items() if name not in scouts}
    names = _names(kept, data.keep_ids)
    made = [_row(names[name], files, named, source) for name, files in kept.items()]
    notes = [f"DICOM files read as volumes, by their series: {sum(map(len, kept.values()))}, of {len(kept)} series."]
    notes[0] += "" if asked else " If each is an image by itself, set data.series=images."
    notes += [f"Series of localizers, left out: {len(scouts)}."] if scouts else []
    return [*made, *(row for row in rows if row.get(dicom_tags.OBJECT))], notes


def _masks(images: Iterable[dict]) -> Iterator[str]:
    """Yield the masks of images, as often as they are one's."""
    return (mask for row in images for mask in row.get("mask", "").split("|") if mask)


def _by_series(images: Iterable[dict]) -> dict[str, list[dict]]:
    """Return the rows of each series; a file that does not say belongs to the one series of its folder, if it is one.

    Such a file is damaged: its series is then refused when it is read, rather than read without a slice.
    """
    found: dict[str, list[dict]] = {}
    silent = []
    for row in images:
        if row.get("SeriesInstanceUID"):
            found.setdefault(row["SeriesInstanceUID"], []).append(row)
        elif dicom_tags.FRAMES in row:
            silent.append(row)
    within: dict[Path, set[str]] = {}
    for name, files in found.items():
        for row in files:
            within.setdefault(Path(row["path"]).parent, set()).add(name)
    for row in silent:
        near = within.get(Path(row["path"]).parent, set())
        found.setdefault(min(near) if len(near) == 1 else f"\0{row['path']}", []).append(row)
    return found


def _look_like_volumes(images: Sequence[dict], series: dict[str, list[dict]], named: Sequence[str]) -> bool:
    told = [row for row in images if row.get("SeriesInstanceUID")]
    return (
        all(dicom_tags.FRAMES in row and not row.get("frame") for row in images)
        and all(count > 1 and is_dicom(Path(mask)) for mask, count in Counter(_masks(images)).items())
        and all(row[dicom_tags.PLACED] for row in told)
        and len(told) >= FEWEST * len(series)
        and not any(len(values) > 1 for files in series.values() for values in _known(files, named).values())
    )


def _known(files: Iterable[dict], named: Sequence[str]) -> dict[str, set]:
    """Return the values that the files of a series have under each name; what says nothing is none."""
    found: dict[str, set] = {}
    for row in files:
        for name in named:
            if row.get(name, "") != "":
                found.setdefault(name, set()).add(row[name])
    return found


def _row(name: str, files: Sequence[dict], named: Sequence[str], source: str) -> dict:
    known = _known(files, named)
    apart = next((column for column, values in known.items() if len(values) > 1), None)
    if apart:
        raise UserError(
            f"{source}: expected one {apart} a DICOM series (data.series=volumes). Received: several in {name}; make "
            "them agree, or set data.series=images."
        )
    told = {column: values.pop() for column, values in known.items()}
    told["mask"] = "|".join(dict.fromkeys(_masks(files)))
    return files[0] | told | {"id": name, "path": _linked([row["path"] for row in files]), dicom_tags.FRAMES: 1}


def _names(series: dict[str, list[dict]], keep_ids: bool) -> dict[str, str]:
    """Return what each series goes by: its folder, numbered where that has several, or a pseudonym."""
    folders = {name: Path(files[0]["id"]).parent.as_posix() for name, files in series.items()}
    count, seen, found = Counter(folders.values()), Counter[str](), {}
    for name, folder in folders.items():
        seen[folder] += 1
        plain = f"{folder}:{seen[folder]}" if count[folder] > 1 else folder
        found[name] = plain if keep_ids else pseudonym(name)
    return found


def _linked(paths: Sequence[str]) -> str:
    """Return a folder in the cache, of a name that changes as the files do, with a link to each of them.

    Raises:
        UserError: the cache folder cannot be written.
    """
    files = sorted(paths)
    folder = cache_folder() / "dicom" / pseudonym("\n".join(f"{path} {stamp(path)}" for path in files))
    if folder.is_dir():
        return str(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.parent.chmod(0o700)  # the links point to names of patients
        with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as aside:
            made = Path(aside) / "series"
            made.mkdir()
            for number, path in enumerate(files):
                (made / f"{number:06d}.dcm").symlink_to(path)
            with contextlib.suppress(FileExistsError, NotADirectoryError):  # another run made it just now
                os.rename(made, folder)
    except OSError as error:
        if not folder.is_dir():
            reason = error.strerror
            raise UserError(f"{folder}: cannot be written ({reason}); set KMEDTL_CACHE to a folder.") from None
    return str(folder)
