"""Patients whose ids differ only in how they are spelled: a spreadsheet's `7.0`, a clerk's ` p007`, another's `P7`."""

from __future__ import annotations

import re
import unicodedata

import pandas as pd

INVISIBLE = {"Cf", "Cc", "Zs", "Zl", "Zp"}  # Unicode categories: format (zero-width), control, blanks
SELECTORS = re.compile("[\u034f\ufe00-\ufe0f]")  # joiner and variation selectors: marks that show nothing
LEADING_ZEROS = re.compile(r"(?<!\d)(?<!\d\.)0+(?=\d)")
DECIMAL = re.compile(r"([^.]*\d)\.0+")  # of an id with a single dot: `1.2.840.0` is a UID, not a number


def spelling_key(name: str) -> str:
    """Return what is left of an id without case, blanks, invisible characters, Unicode form, leading zeros and `.0`.

    Source: Unicode Standard Annex 15 (NFKC) and section 3.13 of the standard (case folding).
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    shown = "".join(char for char in SELECTORS.sub("", folded) if unicodedata.category(char) not in INVISIBLE)
    digits = "".join(str(unicodedata.decimal(char, char)) for char in shown)
    number = DECIMAL.fullmatch(digits)
    return LEADING_ZEROS.sub("", number[1] if number else digits) or name


def one_spelling(patients: pd.Series) -> pd.Series:
    """Return each patient's id in the first, by the alphabet, of the spellings that it has."""
    names = sorted(patients.unique())
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(spelling_key(name), name)
    return patients.map({name: first[spelling_key(name)] for name in names})
