"""What a person reads when a run is done: what it found, what deserves a look, and what usually comes next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from kmedtl.audit.audit import TELLING, Audit
from kmedtl.recipe import Recipe
from kmedtl.runs import cross_validation, result
from kmedtl.runs.cross_validation import CrossValidation
from kmedtl.runs.result import Result
from kmedtl.system.printable import shown

MOST = 3  # warnings of the audit that are repeated


def summary(found: Result | CrossValidation, folder: Path) -> str:
    """Return all the lines."""
    if isinstance(found, CrossValidation):
        lines = cross_validation.summary(found, folder)
    else:
        lines = result.summary(found, folder)
    return "\n".join([lines, *_advice(found, folder), *_next_steps(found, folder)])


def ending(found: Result | CrossValidation, folder: Path) -> str:
    """Return the last lines of what was found: what it may be used for, and where it is."""
    synthetic = found.synthetic if isinstance(found, CrossValidation) else found.audit.synthetic
    return "\n".join(map(shown, result.closing(folder, synthetic))).strip()


def _advice(found: Result | CrossValidation, folder: Path) -> list[str]:
    """Return the gravest warnings of the audit, which were printed before the training and have scrolled away."""
    first = next(iter(found.folds.values())) if isinstance(found, CrossValidation) else found
    warnings = first.audit.warnings
    if not warnings:
        return []
    more = len(warnings) - MOST
    rest = [f"and {more} more: {folder / 'audit.html'}"] if more > 0 else []
    lines = [*map(shown, warnings[:MOST]), *rest, *_ways_out(first.audit, first.recipe)]
    return ["", "Before you rely on these figures:", *(f"  {line}" for line in lines)]


def _ways_out(audit: Audit, recipe: Recipe) -> Iterator[str]:
    """Yield what can be done about warnings that name no remedy."""
    telling = {shortcut.what for shortcut in audit.shortcuts if shortcut.auc.low > TELLING}
    if "frame" in telling and recipe.stages:
        masked = " ".join(f"--set stages.{number}.border=mask" for number in range(len(recipe.stages)))
        yield f"Against the border: run it again with {masked}, and set both beside each other by kmedtl compare."
    if "file" in telling:
        yield "Against the files' size and mode: save all images in one way, whatever their class."
    if audit.conflicts:
        yield "Against two labels: correct them in the CSV that kmedtl manifest writes, and use it as --data."


def _next_steps(found: Result | CrossValidation, folder: Path) -> list[str]:
    if isinstance(found, Result) and found.info.rejected:
        return []
    single = folder / "fold-1" if isinstance(found, CrossValidation) else folder  # folds have a model each
    run, model = shlex.quote(str(folder)), shlex.quote(str(single))
    return [
        "",
        "Next:",
        f"  kmedtl predict {model} IMAGE",
        f"  kmedtl evaluate {run}",
        f"  kmedtl export {model} --formats float16,int8",
    ]
