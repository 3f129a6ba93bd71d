"""The one exception that means "the user can mend this"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """A mistake the user can mend; its text is one line that names the thing and the remedy.

    The command line prints it as `error: …` and exits with 2; a traceback is shown with `--debug` only.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean 'x'?` for the closest known name, else the list of all known names."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(known)}."


def expect(condition: bool, setting: str, expected: object, received: Any) -> None:
    """Refuse a setting whose value cannot be, in the one form in which every setting is refused.

    Raises:
        UserError: unless `condition` holds.
    """
    if not condition:
        raise UserError(f"{setting}: expected {expected}. Received: {received!r}.")
