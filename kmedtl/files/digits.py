"""Figures as text, with digits enough to tell 0.9996 from 1; durations."""

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


def in_time(seconds: float) -> str:
    """Return a duration as a person says it: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
