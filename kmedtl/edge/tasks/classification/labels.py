"""What is asked of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

LabelKind = Literal["binary", "multi_class", "multi_label"]
"""`binary`: one yes-or-no finding, one logit; `multi_class`: exactly one of several classes, a logit each, softmax;
`multi_label`: several yes-or-no findings at once, a logit each, sigmoid."""


def findings_of(kind: LabelKind, classes: Sequence[str]) -> tuple[str, ...]:
    """Return what has a logit: of two classes that exclude each other the second, else each class."""
    return tuple(classes[-1:] if kind == "binary" else classes)


def columns(what: str, kind: LabelKind, findings: Sequence[str]) -> list[str]:
    """Return the columns of a table of predictions that hold `what`, such as `logit`, of each finding."""
    return [what] if kind == "binary" else [f"{what}_{finding}" for finding in findings]
