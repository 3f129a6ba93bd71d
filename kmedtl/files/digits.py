"""Figures as text, with digits enough to tell 0.9996 from 1."""

from __future__ import annotations

MOST = 5  # digits after the point
ROUNDING = 1e-9  # what is as near to 1 is 1 but for the computer's arithmetic


def in_digits(value: float, digits: int = 3) -> str:
    """Return a figure with `digits` after the point, or more, up to `MOST`, where so few would make it read 1.

    What is nearer to 1 than `MOST` digits can tell reads 0.99999, never 1.
    """
    for count in range(digits, MOST + 1):
        text = f"{value:.{count}f}"
        if not value < 1 - ROUNDING or float(text) < 1:
            return text
    return f"{1 - 10**-MOST:.{MOST}f}"
