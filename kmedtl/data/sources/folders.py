"""Folders: a folder a class, a data set with its table inside, or a tree of any depth with its labels elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kmedtl.data.manifest import Manifest
from kmedtl.data.sources import dicom_tags, tables, to_manifest
from kmedtl.data.sources.columns import SUFFIXES as TABLES
from kmedtl.data.sources.columns import is_known
from kmedtl.data.sources.find_files import FileFinder
from kmedtl.data.sources.listing import Listing, list_folder, suffixes
from kmedtl.data.sources.names import containers, is_hidden, split_of
from kmedtl.errors import UserError
from kmedtl.images.file_kinds import DICOM_SUFFIXES, SUFFIXES
from kmedtl.images.read_image import FORMAT_NAMES
from kmedtl.recipe import Data
from kmedtl.system.home import expanded

MAX_LOST = 0.1  # fraction of a class's files that may be of formats that are not read


@dataclass(frozen=True)
class Place:
    """What the folders on the way to a file say: "" where they say nothing."""

    split: str
    label: str


def from_folder(root: Path, data: Data, labelled: bool = True) -> Manifest:
    """Read `CLASS/…`, `train|val|test/CLASS/…` or the table of a known data set; deeper folders belong to their class.

    Split folders go by any usual name; folders called like `images` are looked into; masks are no images.

    Args:
        labelled: False where images without any class folder are to be looked at all the same.

    Raises:
        UserError: no images in class folders, split folders beside others, folders that are called after patients, or a
            class much of which is in a format that is not read.
    """
    listing = list_folder(root, data.classes)
    table = _table_inside(listing)
    if table:
        return tables.from_table(table, data, listing, tuple(_notes(listing, table)), labelled)
    within = _wrappers(listing, data.classes)
    _check_tops(listing, within, data.classes)
    places = _places(listing, (*listing.images, *listing.unread), within, data.classes)
    _check_formats(listing, places)
    _check_level(listing, within, places, data.classes)
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
    if not found and listing.images and not labelled:
        return _without_labels(listing, data)
    if not found:
        raise UserError(_no_classes(listing))
    found = dicom_tags.add(found)
    _refuse_people(found, root)
    notes = [*_notes(listing), *_split_notes(listing, within, places)]
    passed = sorted(set().union(*_folders_below(listing, within, places).values()))
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


def from_tree(root: Path, data: Data) -> Manifest:
    """Read every image below `root`, labelled by the table `data.labels`.

    Raises:
        UserError: a table that cannot be read, or that labels none of the images.
    """
    listing = list_folder(root)
    masks = listing.masks.of_images()
    found = dicom_tags.add([_unlabelled(file, root, masks) for file in listing.images])
    path = expanded(data.labels).absolute()
    key, findings, labels, label_notes = tables.read_labels(path, data)
    if key == "path":
        finder = FileFinder(root / path.name, listing)
        labels = _by_file(labels, finder, path)
    found = [row | labels.get(row["path"] if key == "path" else row.get(key, ""), {}) for row in found]
    notes = (*_notes(listing), *label_notes)
    return to_manifest.finish(found, data, str(root), findings, listing.ignored, listing.masks.count, notes)


def _by_file(labels: dict[str, dict], finder: FileFinder, path: Path) -> dict[str, dict]:
    """Return the cells of each file that a table names; names of files that are not there are left out."""
    found: dict[str, dict] = {}
    for name, cells in labels.items():
        file = finder.find(name, f"{path}: {name}")
        if file is not None and found.setdefault(str(file), cells) != cells:
            raise UserError(f"{path}: {name}: two rows of that file disagree; make them agree or remove one.")
    return found


def _without_labels(listing: Listing, data: Data) -> Manifest:
    """Read every image of a folder, to be looked at: it has no label and cannot be trained on."""
    masks = listing.masks.of_images()
    found = [_unlabelled(file, listing.root, masks) for file in listing.images]
    notes = ["No class folders and no table: the images have no labels.", *_notes(listing)]
    source = str(listing.root)
    return to_manifest.finish(found, data, source, (), listing.ignored, listing.masks.count, notes, labelled=False)


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
    known = [file for file in near if file.suffix.lower() in TABLES and is_known(file)]
    if len(known) > 1:
        raise UserError(
            f"{listing.root}: holds several tables of known data sets ({', '.join(file.name for file in known[:4])}); "
            f"give one, such as --data {known[0]}."
        )
    return known[0] if known else None


def _wrappers(listing: Listing, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the folders, one in another, that all images lie in and that are no classes, such as an archive's name."""
    parts = [file.relative_to(listing.root).parts[:-1] for file in listing.images]
    within: tuple[str, ...] = ()
    tops = {names[:1] for names in parts}
    while len(tops) == 1 and () not in tops:
        (top,) = tops.pop()
        if top in classes or split_of(top) or containers([top]):
            return within
        within, parts = (*within, top), [names[1:] for names in parts]
        tops = {names[:1] for names in parts}
    return within if len(tops) > 1 and () not in tops else ()


def _check_tops(listing: Listing, within: Sequence[str], classes: Sequence[str]) -> None:
    tops = {file.relative_to(listing.root).parts[:-1][len(within) :][:1] for file in listing.images}
    names = sorted(name for top in tops for name in top if name not in classes)
    splits = [name for name in names if split_of(name)]
    others = [name for name in names if not split_of(name) and name not in containers(names)]
    if splits and others:
        raise UserError(
            f"{listing.root}: found split folders ({', '.join(splits)}) and '{others[0]}' side by side; move it away, "
            f"or, if {' and '.join(splits[:2])} are classes, name all classes in data.classes."
        )


def _places(
    listing: Listing, files: Sequence[Path], within: Sequence[str], classes: Sequence[str]
) -> dict[Path, Place]:
    """Return split and class of each file by its folders.

    The class is the first folder that is neither a split nor called like `images`; the folder right below it may be a
    split as well.
    """
    folders = {file: file.relative_to(listing.root).parts[len(within) : -1] for file in files}
    names = {name for parts in folders.values() for name in parts} - set(classes)
    plain = containers(names) | listing.masks.folders
    return {file: _place(parts, plain, classes) for file, parts in folders.items()}


def _place(folders: Sequence[str], plain: set[str], classes: Sequence[str]) -> Place:
    split = label = ""
    below = 0  # folders that were passed since the class
    for name in folders:
        if name not in classes and not split and below == 0 and split_of(name):
            split = split_of(name)
        elif name in plain:
            continue
        elif label:
            below += 1
        else:
            label = name
    return Place(split, label)


def _check_level(listing: Listing, within: Sequence[str], places: dict[Path, Place], classes: Sequence[str]) -> None:
    """Refuse folders that hold the same folders, or one another's: the classes may lie below them."""
    below = _folders_below(listing, within, places)
    tops = sorted(below)
    for number, top in enumerate(tops):
        for other in tops[number + 1 :]:
            most = max(below[top] & below[other], below[top] & {*tops}, below[other] & {*tops}, key=len)
            shared = sorted(most)
            if len(shared) > 1 and not {top, other} <= {*classes}:
                raise UserError(
                    f"{listing.root}: are the classes its folders {top} and {other}, or those below them, such as "
                    f"{' and '.join(shared[:2])}? Name them in data.classes, or point to {listing.root / top}."
                )


def _folders_below(listing: Listing, within: Sequence[str], places: dict[Path, Place]) -> dict[str, set[str]]:
    """Return the names of the folders right below each class that are no split and do not just hold images."""
    found: dict[str, set[str]] = {}
    for file in listing.images:
        folders = file.relative_to(listing.root).parts[len(within) : -1]
        label = places[file].label
        if label:
            rest = folders[folders.index(label) + 1 :]
            named = [name for name in rest if not split_of(name) and not containers([name])]
            found.setdefault(label, set()).update(named[:1])
    return found


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
        images = len(set(masks.owners.values()))
        yield f"Masks, which are not taken for images: {listing.masks.count}, of {images} images."
    named = {
        "Masks without their image": masks.orphans,
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


def _split_notes(listing: Listing, within: Sequence[str], places: dict[Path, Place]) -> Iterator[str]:
    """Say which folders were taken for which split, unless they are called as kmedtl calls them."""
    named = {
        (name, places[file].split)
        for file in listing.images
        for name in file.relative_to(listing.root).parts[len(within) : -1]
        if places[file].split and split_of(name) == places[file].split
    }
    if any(name != split for name, split in named):
        yield f"Splits by folders: {', '.join(f'{name} is {split}' for name, split in sorted(named))}."


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
