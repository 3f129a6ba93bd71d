"""A recipe's regular expression over file names, in a process of its own: some expressions never come to an end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import PurePath

from kmedtl.errors import UserError
from kmedtl.images.workers import Failure, Job, in_workers

SECONDS = 5.0  # for so many names, which a sound expression does in milliseconds
AT_A_TIME = 1000


def patients_of(names: Sequence[str], pattern: str) -> list[str | None]:
    """Return what `data.patient_pattern` finds in each name: its first group that is not empty, else all of it.

    The last part of a name is looked at first, then the whole; None stands where neither matches.

    Raises:
        UserError: it takes longer than `SECONDS`.
    """
    chunks = [names[start : start + AT_A_TIME] for start in range(0, len(names), AT_A_TIME)]
    answers = in_workers(Job(partial(_find, pattern=pattern), SECONDS), chunks, "Patients")
    found: list[str | None] = []
    for chunk, answer in zip(chunks, answers, strict=True):
        if isinstance(answer, Failure):
            raise UserError(
                f"data.patient_pattern: {pattern!r} takes longer than {SECONDS:g} s for {len(chunk)} names, such as "
                f"{chunk[0]!r}; write it without a repetition inside a repetition, as ([0-9]+)* is."
            )
        found += answer
    return found


def _find(names: Sequence[str], pattern: str) -> list[str | None]:
    compiled = re.compile(pattern)
    matches = (compiled.search(PurePath(name).name) or compiled.search(name) for name in names)
    return [match and next((group for group in match.groups() if group), match.group(0)) for match in matches]
