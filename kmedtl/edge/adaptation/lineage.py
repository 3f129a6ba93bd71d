"""What became of a model file at another hospital: whose decoder it had, and what the new one rests on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kmedtl.errors import UserError, expect

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Adaptation:
    """One adaptation of a model file.

    Attributes:
        parent, file: SHA-256 and name of the file that was adapted.
        site: a name that tells nobody where the images are from, or the one that was given.
        date: of the adaptation, UTC, as 2026-11-27.
        images, labels: how many there were, and of how many the finding was known.
        evidence: what differed: prevalence, acquisition, or both.
        done: what was done about it, in words.

    Raises:
        UserError: values that cannot be.
    """

    parent: str
    file: str
    site: str
    date: str
    images: int
    labels: int
    evidence: str
    done: str

    def __post_init__(self) -> None:
        expect(bool(HASH.fullmatch(self.parent)), "adapted: parent", "a SHA-256 of 64 digits", self.parent)
        expect(bool(DATE.fullmatch(self.date)), "adapted: date", "a date as 2026-11-27", self.date)
        expect(0 <= self.labels <= self.images, "adapted: labels", f"0 to {self.images}, its images", self.labels)

    def __str__(self) -> str:
        labels = f", {self.labels} of them labelled" if self.labels else ", none of them labelled"
        return f"to {self.site}, {self.date}: {self.images} images{labels}; {self.evidence}: {self.done}"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    from hashlib import file_digest  # its library takes a scanner megabytes

    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def parent_of(path: Path, adapted: tuple[Adaptation, ...]) -> list[str]:
    """Return lines that name the file that `path` was adapted from, and where it lies if that is the same folder.

    Raises:
        UserError: it was not adapted.
    """
    if not adapted:
        raise UserError(f"{path}: was never adapted, so there is nothing to undo.")
    last = adapted[-1]
    lines = [f"{path} was adapted {last}", f"Its parent: {last.file}, SHA-256 {last.parent}"]
    others = (file for file in sorted(path.parent.glob(f"*{path.suffix}")) if file.is_file() and file != path)
    found = next((file for file in others if sha256(file) == last.parent), None)
    return [
        *lines,
        f"Use it again: {found}" if found else f"No file in {path.parent} is that one; take it from where it was kept.",
    ]
