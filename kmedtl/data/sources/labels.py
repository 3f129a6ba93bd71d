"""Labels as tables and folders write them, made one spelling each; whatever is changed is said in a note."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from kmedtl.data.manifest import UNKNOWN
from kmedtl.errors import UserError

BLANKS = frozenset({"", "nan", "na", "n/a", "<na>", "#n/a", "null"})  # what programs write where nothing is known
NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
# Cells of a column that says of each image whether it shows a finding.
ANSWERS = {
    "1": 1.0, "1.0": 1.0, "true": 1.0, "yes": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0, "no": 0.0,
    "-1": UNKNOWN, "-1.0": UNKNOWN, **dict.fromkeys(BLANKS, 0.0),
}  # fmt: skip


def is_blank(cell: str) -> bool:
    """Tell whether a cell says that nothing is known."""
    return cell.strip().casefold() in BLANKS


def answer(cell: str, where: str) -> float:
    """Return what a cell of a finding's column says: 1, 0 or `UNKNOWN`; blank means not mentioned, thus 0.

    Raises:
        UserError: anything else, with `where` it stands.
    """
    value = ANSWERS.get(cell.strip().casefold())
    if value is None:
        raise UserError(f"{where}: expected 1, 0, -1 or nothing. Received: '{cell}'.")
    return value


def one_spelling(labels: Sequence[str], classes: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the class of each label as written, and notes on what was merged.

    `1` and `1.0` are one class; so are labels that differ by case, by blanks or by the form of their characters: in the
    spelling of `classes`, else in the most frequent one. The numbers 0, 1, … stand for `classes` in their order.
    """
    counts = Counter(labels)
    if not counts:
        return {}, []
    merged = _numbers(counts) or _spellings(counts, classes)
    notes = [
        f"Labels that differ in spelling alone were merged: {', '.join(sorted(alike))} are '{name}'."
        for name, alike in _alike(merged).items()
        if len(alike) > 1 or (name in classes and name not in alike)
    ]
    numbered = {str(number): name for number, name in enumerate(classes)}
    names = set(merged.values())
    if len(classes) > 1 and names <= numbered.keys() and not names & set(classes):
        merged = {label: numbered[name] for label, name in merged.items()}
        notes.append(f"Labels are numbers: {', '.join(f'{number} is {name}' for number, name in numbered.items())}.")
    return merged, notes


def _numbers(counts: Counter[str]) -> dict[str, str]:
    """Return whole numbers as such where each label is one, else nothing."""
    return {label: str(int(label.partition(".")[0])) for label in counts} if all(map(NUMBER.fullmatch, counts)) else {}


def _spellings(counts: Counter[str], classes: Sequence[str]) -> dict[str, str]:
    wanted = {_form(name): name for name in classes}
    for label, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        wanted.setdefault(_form(label), label)
    return {label: label if label in classes else wanted[_form(label)] for label in counts}


def _form(label: str) -> str:
    """Return what spellings of one label have in common."""
    visible = "".join(letter for letter in unicodedata.normalize("NFKC", label) if unicodedata.category(letter) != "Cf")
    return " ".join(visible.casefold().split())


def _alike(merged: dict[str, str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for label, name in merged.items():
        found.setdefault(name, set()).add(label)
    return found
