"""Volumes: a folder of NIfTI files with their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kmedtl.data.manifest import ORPHANS, Manifest
from kmedtl.data.sources import to_manifest
from kmedtl.data.sources.listing import Listing
from kmedtl.data.sources.mask_owners import owners_of
from kmedtl.data.sources.names import containers, is_mask_folder, masked_stem, split_of
from kmedtl.images.file_kinds import is_nifti, stem_of
from kmedtl.recipe import Data


def volumes_in(listing: Listing) -> tuple[Path, ...]:
    """Return the NIfTI files of a folder, masks among them."""
    return tuple(file for file in listing.unread if is_nifti(file))


def as_images(files: Sequence[Path], listing: Listing) -> Listing:
    """Return a listing in which volumes stand where images do, their masks set aside; without volumes as it is.

    Args:
        files: as of `volumes_in`.
    """
    masks = {mask: (volume,) for volume, each in masks_of(files, listing.root).items() for mask in each}
    folders = {file: _mask_folder(file, listing.root) for file in files if file not in masks}
    orphans = [file for file, folder in folders.items() if folder is not None]
    found = replace(
        listing.masks,
        folders=listing.masks.folders | {folder.name for folder in folders.values() if folder is not None},
        owners={**listing.masks.owners, **masks},
        orphans=(*listing.masks.orphans, *orphans),
    )
    images = tuple(file for file, folder in folders.items() if folder is None)
    unread = tuple(file for file in listing.unread if file not in {*files})
    return replace(listing, images=(*listing.images, *images), masks=found, unread=unread)


def from_files(files: Sequence[Path], listing: Listing, data: Data) -> Manifest:
    """Read `images/NAME.nii.gz` and `labels/NAME.nii.gz`, `NAME.nii.gz` and `NAME_mask.nii.gz`, or the Decathlon's
    `imagesTr`, `labelsTr` and `imagesTs`, of which the last has no masks and is left out.

    A split is what the folders say, as for images. Nothing is read of the files but their headers.

    Args:
        files: as of `volumes_in`.

    Raises:
        UserError: as of `to_manifest.finish`; no nibabel.
    """
    root = listing.root
    masks = masks_of(files, root)
    of_masks = {mask for each in masks.values() for mask in each}
    orphans = [file for file in files if file not in of_masks and _mask_folder(file, root) is not None]
    volumes = [file for file in files if file not in of_masks and file not in orphans]
    unjudged = [file for file in volumes if masks and file not in masks and "imagests" in _folders(file, root)]
    kept = [file for file in volumes if file not in unjudged]
    rows = [
        {
            "id": file.relative_to(root).as_posix(),
            "path": str(file),
            "mask": "|".join(map(str, masks.get(file, ()))),
            "split": _split(file, root),
        }
        for file in kept
    ]
    notes = [f"Masks of volumes: {len(of_masks)}, of {len(masks)} volumes."]
    notes += [f"Volumes of imagesTs, which come without masks, left out: {len(unjudged)}."] if unjudged else []
    notes += [f"{ORPHANS}: {len(orphans)}, first: {orphans[0].name}."] if orphans else []
    ignored = listing.ignored - len(files) + len(unjudged)
    count = len(of_masks) + len(orphans)
    return to_manifest.finish(rows, data, str(root), (), ignored, count, notes, labelled=False)


def masks_of(files: Sequence[Path], root: Path) -> dict[Path, tuple[Path, ...]]:
    """Return the masks of each volume that has any, by the names of files and folders.

    Masks are the files in a folder called like `masks`, or like `labels` beside a folder of images; and those that are
    called like another file's mask (`a_mask.nii.gz`, `a_seg.nii`).
    """
    folders = {mask: folder for mask in files if (folder := _mask_folder(mask, root)) is not None}
    images = [file for file in files if file not in folders]
    by_place = {(file.parent, stem_of(file).casefold()): file for file in images}
    owners: dict[Path, Path | None] = {}
    for file in images:
        owner = by_place.get((file.parent, masked_stem(stem_of(file)).casefold()))
        if owner is not None:
            owners[file] = owner
    pictures = {file.with_name(stem_of(file)): file for file in images if file not in owners}
    places = {mask.with_name(stem_of(mask)): folder for mask, folder in folders.items()}
    for mask, image in owners_of(places, list(pictures), root).items():
        of_stem = [file for file in folders if file.with_name(stem_of(file)) == mask]
        owners |= {file: pictures[image] for file in of_stem if image is not None}
    found: dict[Path, list[Path]] = {}
    for mask, owner in sorted(owners.items()):
        if owner is not None:
            found.setdefault(owner, []).append(mask)
    return {owner: tuple(each) for owner, each in found.items()}


def _folders(file: Path, root: Path) -> list[str]:
    return [part.casefold() for part in file.relative_to(root).parts[:-1]]


def _split(file: Path, root: Path) -> str:
    """Return the split that a folder names; `imagesTr` names none, being all that has masks."""
    named = [split_of(part) for part in file.relative_to(root).parts[:-1]]
    return next((split for split in named if split), "")


def _mask_folder(file: Path, root: Path) -> Path | None:
    """Return the innermost folder of masks which a file is in, or None; folders of images stand beside `labels`."""
    for folder in file.parents:
        if folder == root:
            return None
        beside = bool(containers(other.name for other in folder.parent.iterdir() if other.is_dir()))
        if is_mask_folder(folder.name, beside):
            return folder
    return None
