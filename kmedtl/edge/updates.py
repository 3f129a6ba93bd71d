"""What became of a run that learned from further images: whose weights it began with, and what that was worth."""

from __future__ import annotations

from dataclasses import dataclass

from kmedtl.edge.adaptation.lineage import DATE, HASH
from kmedtl.errors import expect


@dataclass(frozen=True)
class UpdateRecord:
    """One update of a run.

    Attributes:
        parent, run: SHA-256 of the `model.keras` that it began with, and the name of its run folder.
        date: of the update, UTC, as 2026-11-27.
        source: what the new images are called.
        images, replayed: how many new images, and of the run's own, it trained on.
        replay: what of the run's own was learned again: `images` or `none`.
        old, new: what the gate found on the run's own test and on that of the new images, in words.
        accepted: whether both were as asked.

    Raises:
        UserError: values that cannot be.
    """

    parent: str
    run: str
    date: str
    source: str
    images: int
    replayed: int
    replay: str
    old: str
    new: str
    accepted: bool

    def __post_init__(self) -> None:
        expect(bool(HASH.fullmatch(self.parent)), "updated: parent", "a SHA-256 of 64 digits", self.parent)
        expect(bool(DATE.fullmatch(self.date)), "updated: date", "a date as 2026-11-27", self.date)
        for name in ("images", "replayed"):
            expect(getattr(self, name) >= 0, f"updated: {name}", "0 or more", getattr(self, name))

    def __str__(self) -> str:
        replayed = f"{self.replayed} old ones" if self.replayed else "none of the old ones"
        learned = f"{self.images} new training images of {self.source}, replay {self.replay}: {replayed}"
        return f"{self.verdict}: from {self.run} (SHA-256 {self.parent[:12]}…), {self.date}, {learned}"

    @property
    def verdict(self) -> str:
        return "accepted" if self.accepted else "REJECTED"

    @property
    def reason(self) -> str:
        """What the gate found, in one line."""
        return f"old test: {self.old}; new test: {self.new}"
