"""Every kind of source, each turned into the same manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kmedtl.data.kinds import KINDS, VOLUMES
from kmedtl.data.manifest import Labels, Manifest, check_every_class
from kmedtl.data.splits import limit
from kmedtl.errors import UserError
from kmedtl.recipe import Data
from kmedtl.system.home import expanded


def load(data: Data, seed: int, labels: Labels = "needed") -> Manifest:
    """Return the manifest of `data.source`, at most about `data.limit` images of it; `recipe.Data` lists the kinds.

    Args:
        labels: whether images are refused for want of classes, or of `some`; where they are `unasked`, a folder or a
            table has none, and what it says of them is the text of the column `label`.

    Raises:
        UserError: a source that is absent, empty, of one class, or whose rows contradict themselves.
    """
    manifest = _load(data, seed, labels)
    _check_volumes(manifest, data)
    if labels != "some":
        check_every_class(manifest)
    if data.val_as_test and set(manifest.table["split"]) == {"train", "val"}:
        manifest = _judged_by_validation(manifest)
    if not data.limit:
        return manifest
    kept = limit(manifest.table, data.limit, seed)
    return replace(manifest, table=kept, set_aside=len(manifest.table) - len(kept))


def _check_volumes(manifest: Manifest, data: Data) -> None:
    """Refuse images beside volumes, and neighbours of what has none."""
    table = manifest.table
    if data.views and (table["examination"] == "").any():
        raise UserError(f"data.views: expected a folder or a table of examinations. Received: {manifest.source}.")
    if data.views and set(data.views) != set(table["view"]):
        there = ", ".join(sorted(set(table["view"])))
        raise UserError(f"data.views: expected {there}, as {manifest.source} has. Received: {', '.join(data.views)}.")
    slices = int((table["volume"] != "").sum())
    others = len(table) - slices
    if slices and others and (data.neighbours or not data.views):
        raise UserError(f"{manifest.source}: expected volumes alone, or images alone. Received: both, {others} images.")
    if data.neighbours and not slices:
        raise UserError("data.neighbours: expected volumes. Received: images, which have no neighbours; set it to 0.")


def _judged_by_validation(manifest: Manifest) -> Manifest:
    note = "The source gives no test: its validation part is the test, and validation is taken from training."
    table = manifest.table.assign(split=manifest.table["split"].replace("val", "test"))
    return replace(manifest, table=table, notes=(*manifest.notes, note))


def _load(data: Data, seed: int, labels: Labels) -> Manifest:
    kind = data.source.partition(":")[0]
    if kind == "phantom":
        from kmedtl.data.phantom.source import phantom_manifest

        return phantom_manifest(data.source, data.classes, seed, data.columns)
    if kind in VOLUMES:
        from kmedtl.data.phantom.volumes import phantom_volumes

        return phantom_volumes(data.source, data.classes, seed)
    if kind == "phantom_views":
        from kmedtl.data.phantom.views import phantom_views

        return phantom_views(data.source, data.classes, seed)
    if kind == "tfds":
        from kmedtl.data.sources.tfds import from_catalogue

        return from_catalogue(data)
    path = expanded(data.source).absolute()
    try:
        return _from_path(path, data, labels)
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read ({error.strerror}).") from None


def _from_path(path: Path, data: Data, labels: Labels) -> Manifest:
    from kmedtl.data.sources import arrays, folders, tables

    if path.is_dir():
        return (folders.from_tree if data.labels else folders.from_folder)(path, data, labels)
    if path.is_file() and data.labels:
        raise UserError(f"data.labels: goes with a folder. Received: {path}; put the labels into that file.")
    if path.is_file() and path.suffix.lower() in tables.SUFFIXES:
        return tables.from_table(path, data, labels=labels)
    if path.is_file() and path.suffix.lower() == ".npz":
        return arrays.from_npz(path, data)
    if path.exists():
        raise UserError(f"{path}: expected {KINDS}.")
    raise UserError(f"{path}: no such folder or file; expected {KINDS}.")
