"""Several images of one patient as rows of a manifest: of each its examination and its view, for whatever source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from kmedtl.data.manifest import BLANK
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.data.sources import dicom_tags
from kmedtl.data.sources.columns import Table
from kmedtl.data.sources.volume_rows import GRID
from kmedtl.edge.examinations import place_of
from kmedtl.errors import UserError, nearest
from kmedtl.recipe import Data


def of_table(table: Table, data: Data) -> Table:
    """Return a table with a row an image, of one with a row an examination, whose views `data.views` finds by columns.

    An examination goes by its `id`, else by the path of its first image. Rows without any image are left out.

    Raises:
        UserError: a column that is not there, or a name of two examinations.
    """
    columns = data.views
    if not isinstance(columns, Mapping):
        return table
    for view, column in columns.items():
        if column not in table.columns:
            raise UserError(
                f"data.views.{view}: {table.path} has no column '{column}'. {nearest(column, table.columns)}"
            )
    rows, places, names = [], [], set()
    for cells, where in zip(table.rows, table.places, strict=True):
        paths = {view: cells[column] for view, column in columns.items() if cells[column].casefold() not in BLANK}
        name = cells.get("id") or next(iter(paths.values()), "")
        if name and name in names:
            raise UserError(f"{where}: the examination {name} is in two rows; give each an id of its own.")
        names.add(name)
        rest = {name: cell for name, cell in cells.items() if name not in {"id", "path", *columns.values()}}
        rows += [rest | {"path": path, "view": view, "examination": name} for view, path in paths.items()]
        places += [where] * len(paths)
    if not rows:
        raise UserError(f"{table.path}: no image in the columns {', '.join(columns.values())}; see data.views.")
    empty = sum(all(cells[column].casefold() in BLANK for column in columns.values()) for cells in table.rows)
    notes = (f"Rows of {table.path.name} without any image, left out: {empty}.",) if empty else ()
    return replace(table, columns=tuple(rows[0]), rows=tuple(rows), places=tuple(places), notes=(*table.notes, *notes))


def with_views(rows: Sequence[dict], data: Data, source: str) -> tuple[list[dict], list[str]]:
    """Return rows with `examination` and `view`, and what is to be told; without `data.views` they are as they are.

    What a table says goes before names of files and folders; files that are called like no view are left out.

    Raises:
        UserError: a row that says one of both alone, or a view that nobody asked for; a view of which there is no
            image, or of which an examination has two files by their names.
    """
    if not data.views:
        return list(rows), []
    views = tuple(data.views)
    if any(row.get("examination") for row in rows):
        kept = [_told(row, views, source) for row in rows]
    else:
        if isinstance(data.views, Mapping):
            raise UserError(f"data.views: expected names, [{', '.join(views)}], as {source} is no table with columns.")
        kept = _named(rows, views, source)
    there = {row["view"] for row in kept}
    for view in views:
        if view not in there:
            raise UserError(
                f"data.views: {source} has no image of the view '{view}'; expected EXAM/{view}.png, EXAM_{view}.png or "
                "a table that tells views."
            )
    left_out = len(rows) - len(kept)
    return kept, [f"Files that are called like none of {', '.join(views)}, left out: {left_out}."] if left_out else []


def check_volumes(rows: Sequence[dict], source: str) -> None:
    """Refuse two volumes of one view: which slice of them lies where would not be known.

    Raises:
        UserError: the first such view.
    """
    volumes = [row for row in rows if GRID in row and row.get("examination")]
    _refuse_doubles([(row["examination"], row["view"]) for row in volumes], source)


def hidden(rows: Sequence[dict], keep_ids: bool) -> list[dict]:
    """Return rows in which an examination that has a DICOM file goes by a pseudonym: its folder may be a person's."""
    dicom = {row.get("examination") for row in rows if dicom_tags.FRAMES in row} - {None, ""}
    if keep_ids or not dicom:
        return list(rows)
    names = {name: pseudonym(str(name)) for name in dicom}
    return [
        row | {"examination": names[row["examination"]]} if row.get("examination") in dicom else row for row in rows
    ]


def _told(row: dict, views: Sequence[str], source: str) -> dict:
    view = str(row.get("view", ""))
    own = next((one for one in views if one.casefold() == view.casefold()), None)
    if own is None or not row.get("examination"):
        raise UserError(
            f"{source}: {row['id']}: expected an examination, and a view of {', '.join(views)}. Received: "
            f"'{row.get('examination', '')}' and '{view}'."
        )
    return row | {"view": own}


def _named(rows: Sequence[dict], views: Sequence[str], source: str) -> list[dict]:
    places = [place_of(PurePath(row["id"]), views) for row in rows]
    _refuse_doubles([(place.examination, place.view) for place in places if place and place.by_file], source)
    each = zip(rows, places, strict=True)
    return [row | {"examination": place.examination, "view": place.view} for row, place in each if place]


def _refuse_doubles(places: Sequence[tuple[str, str]], source: str) -> None:
    for (name, view), count in Counter(places).items():
        if count > 1:
            raise UserError(f"{source}: {name} has {count} files of the view '{view}'; expected one.")
