"""What the folders on the way to each image say: a split, a class, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kmedtl.data.sources.listing import Listing
from kmedtl.data.sources.names import containers, split_of
from kmedtl.errors import UserError


@dataclass(frozen=True)
class Place:
    """What the folders on the way to a file say: "" where they say nothing."""

    split: str
    label: str


def wrappers(listing: Listing, classes: Sequence[str]) -> tuple[str, ...]:
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


def read_places(
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


def check_tops(listing: Listing, within: Sequence[str], classes: Sequence[str]) -> None:
    tops = {file.relative_to(listing.root).parts[:-1][len(within) :][:1] for file in listing.images}
    names = sorted(name for top in tops for name in top if name not in classes)
    splits = [name for name in names if split_of(name)]
    others = [name for name in names if not split_of(name) and name not in containers(names)]
    if splits and others:
        raise UserError(
            f"{listing.root}: found split folders ({', '.join(splits)}) and '{others[0]}' side by side; move it away, "
            f"or, if {' and '.join(splits[:2])} are classes, name all classes in data.classes."
        )


def check_level(listing: Listing, within: Sequence[str], places: dict[Path, Place], classes: Sequence[str]) -> None:
    """Refuse folders that hold the same folders, or one another's: the classes may lie below them."""
    below = folders_below(listing, within, places)
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


def folders_below(listing: Listing, within: Sequence[str], places: dict[Path, Place]) -> dict[str, set[str]]:
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


def split_notes(listing: Listing, within: Sequence[str], places: dict[Path, Place]) -> Iterator[str]:
    """Say which folders were taken for which split, unless they are called as kmedtl calls them."""
    named = {
        (name, places[file].split)
        for file in listing.images
        for name in file.relative_to(listing.root).parts[len(within) : -1]
        if places[file].split and split_of(name) == places[file].split
    }
    if any(name != split for name, split in named):
        yield f"Splits by folders: {', '.join(f'{name} is {split}' for name, split in sorted(named))}."
