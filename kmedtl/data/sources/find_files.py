"""Where the file that a table names lies: beside the table, above it, where one stands, or by its name below it."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from kmedtl.data.pseudonyms import FORM
from kmedtl.data.sources.listing import Listing, list_folder
from kmedtl.errors import UserError
from kmedtl.images.file_kinds import is_nifti

ABOVE = 3  # parent folders of the table that paths may be relative to, besides its own


class FileFinder:
    """Finds files by what a table calls them; lists the table's folder only where that is needed.

    Attributes:
        listing: of the table's folder, once a name had to be looked for, or as given.
    """

    def __init__(self, table: Path, listing: Listing | None = None) -> None:
        self._table = table
        self._bases = [table.parent, *list(table.parent.parents)[:ABOVE], Path.cwd()]
        self.listing = listing
        self._by_name: dict[str, list[Path]] = {}
        self._masks: set[Path] = set()
        if listing:
            self._index(listing)

    def find(self, name: str, where: str, masks: bool = False) -> Path | None:
        """Return the file called `name`, or None.

        A name without folders may lie anywhere below the table. One with folders must at least lie in a folder of the
        same name: data sets call their files alike in each patient's folder.

        Args:
            masks: of two files of one name, the mask is meant, not the image.

        Raises:
            UserError: several files are called so, and nothing says which is meant.
        """
        text = PureWindowsPath(name).as_posix() if "\\" in name else name
        for base in self._bases:
            if (base / text).is_file() or _is_series(base / text):
                return base / text
        if self.listing is None:
            self.listing = list_folder(self._table.parent)
            self._index(self.listing)
        wanted = Path(text)
        alike = self._by_name.get(wanted.name.casefold(), [])
        found = [file for file in alike if (file in self._masks) == masks] or (alike if masks else [])
        if len(wanted.parts) > 1:
            found = [file for file in found if _shared_tail(file, wanted) > 1]
        if len(found) > 1:
            found = _sharing_most(found, wanted)
        if len(found) > 1:
            raise UserError(f"{where}: {name} may be {found[0]} or {found[1]}; write more of the path.")
        return found[0] if found else None

    def places(self) -> str:
        """Say where files were looked for."""
        return (
            f"looked in {self._table.parent} and its {ABOVE} parent folders, in {Path.cwd()}, and by name anywhere "
            f"below {self._table.parent}"
        )

    def _index(self, listing: Listing) -> None:
        self._masks = {*listing.masks.owners, *listing.masks.orphans}
        volumes = [file for file in listing.unread if is_nifti(file)]
        for file in (*listing.images, *self._masks, *volumes):
            for name in {file.name.casefold(), file.stem.casefold()}:
                self._by_name.setdefault(name, []).append(file)


def _is_series(path: Path) -> bool:
    """Tell whether a path is a folder of links to the files of a DICOM series, as a manifest of kmedtl's names it."""
    return FORM.fullmatch(path.name) is not None and path.is_dir()


def _sharing_most(files: list[Path], wanted: Path) -> list[Path]:
    """Return those of the files whose last folders are the most of the wanted path's."""
    shared = [_shared_tail(file, wanted) for file in files]
    return [file for file, count in zip(files, shared, strict=True) if count == max(shared)]


def _shared_tail(file: Path, wanted: Path) -> int:
    parts = zip(reversed(file.with_suffix("").parts), reversed(wanted.with_suffix("").parts), strict=False)
    count = 0
    for one, other in parts:
        if one.casefold() != other.casefold():
            break
        count += 1
    return count
