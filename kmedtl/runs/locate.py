"""Where the files of a finished run are. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from kmedtl.errors import UserError
from kmedtl.files.names import MODEL

RECIPE, PREDICTIONS = "recipe.yaml", "predictions.csv"


def located(path: Path) -> tuple[Path, Path]:
    """Return the run folder and the model that `path` means: a run folder, or a model inside one.

    Raises:
        UserError: no run folder, or a folder of folds.
    """
    if (path / "fold-1").is_dir():
        raise UserError(f"{path}: holds several folds; name one of them, as {path / 'fold-1'}.")
    is_run = (path / RECIPE).is_file()
    folder, model = (path, path / MODEL) if is_run else (path.parent, path)
    for file in (folder / RECIPE, folder / PREDICTIONS, model):
        if not file.exists():
            raise UserError(f"{path}: expected a run folder or a model in one; {file} is not there.")
    return folder, model
