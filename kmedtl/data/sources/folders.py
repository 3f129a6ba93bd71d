"""Folders: a folder a class, a data set with its table inside, or a tree of any depth with its labels elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from kmedtl.data.manifest import ORPHANS, Labels, Manifest
from kmedtl.data.sources import dicom_tags, tables, to_manifest, volumes
from kmedtl.data.sources.columns import SUFFIXES as TABLES
from kmedtl.data.sources.columns import is_known
from kmedtl.data.sources.find_files import FileFinder
from kmedtl.data.sources.listing import Listing, list_folder, suffixes
from kmedtl.data.sources.names import are_numbered, is_hidden
from kmedtl.data.sources.places import (
    Place,
    check_level,
    check_tops,
    folders_below,
    read_places,
    split_notes,
    wrappers,
)
from kmedtl.errors import UserError
from kmedtl.images.file_kinds import DICOM_SUFFIXES, SUFFIXES
from kmedtl.images.read_image import FORMAT_NAMES
from kmedtl.recipe import Data
from kmedtl.system.home import expanded

FORM = "sample_submission"  # what competitions call the table that answers are to be handed in by; it holds no labels
MAX_LOST = 0.1  # fraction of a class's files that may be of formats that are not read


def from_folder(root: Path, data: Data, labels: Labels = "needed") -> Manifest:
    """Read `CLASS/…`, `train|val|test/CLASS/…` or the table of a known data set; deeper folders belong to their class.

    Split folders go by any usual name; folders called like `images` are looked into; masks are no images.

    Args:
        labels: as of `kmedtl.data.sources.load`.

    Raises:
        UserError: no images in class folders, split folders beside others, folders that are called after patients, or a
            class much of which is in a format that is not read.
    """
    listing = list_folder(root, data.classes)
    table = _table_inside(listing)
    if table:
        return tables.from_table(table, data, listing, tuple(_notes(listing, table)), labels)
    files = volumes.volumes_in(listing) if data.views or not listing.images else ()
    if files and labels == "unasked":
        return volumes.from_files(files, listing, data)
    as_found, listing = listing, volumes.as_images(files, listing)
    within = wrappers(listing, data.classes)
    check_tops(listing, within, data.classes)
    places = read_places(listing, (*listing.images, *listing.unread), within, data.classes)
    split_by = list(split_notes(listing, within, places))
    if labels == "unasked" and listing.images:
        return _without_classes(listing, data, places, split_by)
    _check_formats(listing, places)
    check_level(listing, within, places, data.classes)
    masks = listing.masks.of_images()
    found = [
        {
            "id": file.relative_to(root).as_posix(),
            "path": str(file),
            "label": places[file].label,
            "split": places[file].split,
            "mask": masks.get(file, ""),
        }
        for file in listing.images
        if places[file].label
    ]
    loose = len(listing.images) - len(found)
    if not found and files and labels == "wanted":
        return volumes.from_files(files, as_found, data)
    if not found and listing.images and labels == "wanted":
        return _without_classes(listing, data, places, split_by)
    if not found:
        raise UserError(_no_classes(listing))
    found = dicom_tags.add(found)
    _refuse_people(found, root)
    notes = [*_notes(listing), *split_by]
    passed = sorted(set().union(*folders_below(listing, within, places).values()))
    if passed:
        more = f" and {len(passed) - 5} more" if len(passed) > 5 else ""
        notes.append(f"Folders below the classes say nothing of the class: {', '.join(passed[:5])}{more}.")
    if within:
        notes.append(f"The classes are the folders in {'/'.join(within)}.")
    if loose:
        notes.append(f"Images outside of class folders that were left out: {loose}.")
    return to_manifest.finish(
        found, data, str(root), ignored=listing.ignored + loose, masks=listing.masks.count, notes=notes
    )


def from_tree(root: Path, data: Data, labels: Labels = "needed") -> Manifest:
    """Read every image below `root`, labelled by the table `data.labels`.

    Args:
        labels: as of `kmedtl.data.sources.load`.

    Raises:
        UserError: a table that cannot be read, or that labels none of the images.
    """
    listing = list_folder(root)
    files = volumes.volumes_in(listing) if data.views or not listing.images else ()
    listing = volumes.as_images(files, listing)
    masks = listing.masks.of_images()
    found = dicom_tags.add([_unlabelled(file, root, masks) for file in listing.images])
    path = expanded(data.labels).absolute()
    known = {key: {row.get(key, "") for row in found} - {""} for key in tables.KEYS}
    key, findings, cells, label_notes = tables.read_labels(path, data, known, labels)
    if key == "path":
        finder = FileFinder(root / path.name, listing)
        cells = _by_file(cells, finder, path)
    found = [row | cells.get(row["path"] if key == "path" else row.get(key, ""), {}) for row in found]
    notes = (*_notes(listing), *label_notes)
    counts = listing.ignored, listing.masks.count
    return to_manifest.finish(found, data, str(root), findings, *counts, notes, labelled=labels != "unasked")


def _by_file(labels: dict[str, dict], finder: FileFinder, path: Path) -> dict[str, dict]:
    """Return the cells of each file that a table names; names of files that are not there are left out."""
    found: dict[str, dict] = {}
    for name, cells in labels.items():
        file = finder.find(name, f"{path}: {name}")
        if file is not None and found.setdefault(str(file), cells) != cells:
            raise UserError(f"{path}: {name}: two rows of that file disagree; make them agree or remove one.")
    return found


def _without_classes(listing: Listing, data: Data, places: dict[Path, Place], notes: Sequence[str]) -> Manifest:
    """Read every image of a folder, whatever its folders are called; what may be a class is a text beside it."""
    masks = listing.masks.of_images()
    found = [_unlabelled(file, listing.root, masks) | {"split": places[file].split} for file in listing.images]
    names = {place.label for place in places.values()}
    if len(names) > 1 and not are_numbered(names):
        found = [row | {"label": places[file].label} for row, file in zip(found, listing.images, strict=True)]
        # Folders of a DICOM archive are often people.
        found = [row | ({"label": ""} if dicom_tags.FRAMES in row else {}) for row in dicom_tags.add(found)]
    else:
        notes = ["No class folders and no table: the images have no labels.", *notes]
    all_notes, source = [*_notes(listing), *notes], str(listing.root)
    return to_manifest.finish(found, data, source, (), listing.ignored, listing.masks.count, all_notes, labelled=False)


def _unlabelled(file: Path, root: Path, masks: dict[Path, str]) -> dict[str, str]:
    return {"id": file.relative_to(root).as_posix(), "path": str(file), "mask": masks.get(file, "")}


def _table_inside(listing: Listing) -> Path | None:
    """Return the table of a known data set that lies in the folder, or in the one folder that all images lie in.

    Raises:
        UserError: there are several.
    """
    tops = {file.relative_to(listing.root).parts[0] for file in listing.images}
    places = {listing.root, *(listing.root / top for top in tops if len(tops) == 1)}
    near = [file for file in listing.others if file.parent in places]
    known = [
        file for file in near if file.suffix.lower() in TABLES and not file.stem.startswith(FORM) and is_known(file)
    ]
    if len(known) > 1:
        raise UserError(
            f"{listing.root}: holds several tables of known data sets ({', '.join(file.name for file in known[:4])}); "
            f"give one, such as --data {known[0]}."
        )
    return known[0] if known else None


def _check_formats(listing: Listing, places: dict[Path, Place]) -> None:
    """Refuse a class that loses more than `MAX_LOST` of its files to formats that are not read."""
    read = Counter(places[file].label for file in listing.images)
    for label, count in Counter(places[file].label for file in listing.unread).items():
        if label and read[label] and count > MAX_LOST * (count + read[label]):
            files = [file for file in listing.unread if places[file].label == label]
            raise UserError(
                f"{listing.root}: the class '{label}' has {read[label]} images and {count} files of formats that are "
                f"not read ({suffixes(files)}); convert them to one of {FORMAT_NAMES}, or move them away."
            )


def _no_classes(listing: Listing) -> str:
    """Say why there is nothing to train on, and the way out."""
    root = listing.root
    near = [file for file in listing.others if file.suffix.lower() in TABLES]
    if not listing.images and listing.unread:
        return (
            f"{root}: no images of a format that is read; it holds {suffixes(listing.unread)}. Convert them to one of "
            f"{FORMAT_NAMES}."
        )
    table = f" It holds the table {near[0].name}: try --data {near[0]}, or --labels {near[0]}." if near else ""
    count = f"{len(listing.images)} images" if listing.images else "no image"
    masks = f" and {listing.masks.count} masks" if listing.masks.count else ""
    called = " (folders called like 'images', 'masks' or a split are none)" if listing.images else ""
    return (
        f"{root}: no images in class folders; {count}{masks} elsewhere{called}. Expected {root.name}/CLASS/IMAGE or "
        f"{root.name}/train|val|test/CLASS/IMAGE, or --labels with a table that names them.{table}"
    )


def _notes(listing: Listing, table: Path | None = None) -> Iterator[str]:
    """Yield what was left out of the images, and why."""
    masks = listing.masks
    if listing.masks.count:
        images = len(masks.of_images())
        yield f"Masks, which are not taken for images: {listing.masks.count}, of {images} images."
    named = {
        ORPHANS: masks.orphans,
        "Images that are called like another's mask, but hold many values": masks.photographs,
        "Pipes, sockets, devices or broken links, which are not opened": listing.irregular,
    }
    for what, files in named.items():
        if files:
            # What is not plainly an image file may be called after a person.
            name = files[0].name if files[0].suffix.lower() in SUFFIXES - DICOM_SUFFIXES else "a file without a suffix"
            yield f"{what}: {len(files)}, first: {name}."
    if listing.unread:
        yield f"Files of formats that are not read: {suffixes(listing.unread)}."
    visible = [file for file in listing.others if not is_hidden(file.name) and file != table]
    if visible:
        yield f"Other files: {suffixes(visible)}."


def _refuse_people(found: Sequence[dict], root: Path) -> None:
    """Refuse an archive whose folders are people: their names would become classes, and be written everywhere."""
    patients: dict[str, set[str]] = {}
    for row in found:
        patients.setdefault(row.get("label", ""), set()).add(row.get("PatientID", ""))
    apart = len(set().union(*patients.values())) == len(patients)  # an id that all share, as ANONYMOUS, says nothing
    if len(patients) > 1 and apart and all(len(people) == 1 and "" not in people for people in patients.values()):
        raise UserError(
            f"{root}: each of its {len(patients)} class folders holds the DICOM files of one patient; are they "
            "patients rather than classes? Name the classes in a table, with --labels."
        )
