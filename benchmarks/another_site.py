"""A model at a hospital that it never saw: as it is, adapted, updated.

    python benchmarks/another_site.py [TABLE] [--column localization] [--sites back face] [--recipe skin_lesion]
                                      [--size 128] [--labels 50] [--seed 7] [--out DIR]

TABLE is a CSV of images with a yes-or-no label, patients, and a column of sites; without one, films of the synthetic
thorax, whose scanners are A and B, and B is the site. A run learns from all other sites. The site's patients are
halved: one half is the hospital's own, the other half judges:

- `before`: `kmedtl validate`, at the run's own operating point;
- `adapted, no labels` and `adapted`: `kmedtl adapt` with the hospital's half, and with so many labels of it. Where
  there was nothing to do, or the command refused, the file is the one before, and its answer is printed;
- `updated`: `kmedtl update` with the hospital's half, all labels. A rejected one is judged all the same, and named.

Prints AUC, sensitivity, specificity and balanced accuracy with intervals by patient. Finished runs stay in DIR; started
again, the script goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    from kmedtl.cli import main as kmedtl
    from kmedtl.config import override
    from kmedtl.data import sources, splits
    from kmedtl.recipe import Data
    from kmedtl.recipes import find
    from kmedtl.runner import run
    from kmedtl.runs.prepare import prepare_recipe
    from kmedtl.runs.run_folder import rejected
    from kmedtl.statistics.confidence import estimate_of
    from kmedtl.system.text_tables import aligned

FIGURES = ("auc", "sensitivity", "specificity", "balanced_accuracy")
VALIDATION, TEST = 0.2, 0.2  # of the other sites


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", help="without one: films of the synthetic thorax")
    parser.add_argument("--column", default="site")
    parser.add_argument("--sites", nargs="+", default=[], help="without: B, or every value of the column")
    parser.add_argument("--recipe", default="pneumonia")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--patients", type=int, default=600, help="of the synthetic thorax")
    parser.add_argument("--labels", type=int, default=50, help="that the threshold is adapted with")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("saved_models/another_site"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    plain = replace(find(options.recipe), tabular={})
    # Nothing is explained, and the table has no columns to group by; one file is enough.
    settings = [f"data.size={options.size}", "export.formats=[]", "evaluation.cases=0", f"seed={options.seed}"]
    settings += ["evaluation.groups=[]"]
    recipe = override(plain, [*settings, f"data.validation={VALIDATION}", f"data.test={TEST}"])
    table = options.table or films(
        replace(recipe, data=replace(recipe.data, source=f"phantom:{options.patients}")), options.out
    )
    images = pd.read_csv(table, dtype=str, keep_default_na=False)
    for site in options.sites or ([] if options.table else ["B"]) or sorted(set(images[options.column]) - {""}):
        here = images[options.column] == site
        rows = judged(recipe, images[~here], images[here], options.labels, options.out / site.replace(" ", "_"))
        print("\n".join(["", f"{options.column} {site}", *aligned(rows)]), flush=True)
    if not options.table:
        print("\nSYNTHETIC IMAGES: these figures say nothing about patients.")


def films(recipe, out: Path) -> Path:
    """Write the synthetic films as PNG, and a table of them; return where."""
    place = out / "films.csv"
    if place.is_file():
        return place
    prepared = prepare_recipe(recipe)
    (out / "films").mkdir(exist_ok=True)
    pixels = list(prepared.store.images().as_numpy_iterator())
    rows = prepared.table[["record", "label", "patient", "site"]]
    paths = [out.absolute() / "films" / f"{record}.png" for record in rows["record"]]
    for path, record in zip(paths, rows["record"], strict=True):
        Image.fromarray(pixels[record][..., 0]).save(path)
    classes = np.array(prepared.manifest.classes, object)
    rows.assign(path=paths, label=classes[rows["label"]]).drop(columns="record").to_csv(place, index=False)
    return place


def judged(recipe, others: pd.DataFrame, here: pd.DataFrame, labels: int, out: Path) -> list[list[str]]:
    """Return a row a state of the model, each judged by one half of the site's patients."""
    out.mkdir(exist_ok=True)
    own, judge = halves(recipe, here, out)
    elsewhere = written(others, out / "others.csv")
    base = out / "run"
    if not base.is_dir():
        run(override(recipe, [f"data.source={elsewhere}"]), base)
    learned = pd.read_csv(own, dtype=str)
    few = written(
        learned[["path", "label", "patient"]].sample(min(labels, len(learned)), random_state=recipe.seed),
        out / "few.csv",
    )
    without = written(learned[["path", "patient"]], out / "unlabelled.csv")
    files = {
        "before": base,
        "adapted, no labels": adapted(base, without, base / "unlabelled.keras"),
        f"adapted, {labels} labels": adapted(base, few, base / "labelled.keras"),
        f"updated, {len(learned)} labels": updated(base, own, out / "updated"),
    }
    rows = [["", *(name.replace("_", " ") for name in FIGURES)]]
    return rows + [
        [name, *figures(file, judge, out / f"judged-{number}")] for number, (name, file) in enumerate(files.items())
    ]


def halves(recipe, here: pd.DataFrame, out: Path) -> tuple[Path, Path]:
    """Halve the site by patient; return the hospital's own half, and that which judges."""
    manifest = sources.load(Data(source=str(written(here, out / "site.csv"))), recipe.seed)
    table = splits.split(manifest, manifest.table.assign(split=""), 0.0, 0.5, recipe.seed)
    judges = set(table.loc[table["split"] == "test", "path"])
    is_judge = here["path"].isin(judges)
    return written(here[~is_judge], out / "own.csv"), written(here[is_judge], out / "judge.csv")


def written(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False)
    return path


def adapted(base: Path, images: Path, file: Path) -> Path:
    """Return the adapted copy, or the run where nothing was done."""
    if not file.is_file():
        kmedtl(["adapt", str(base), "--data", str(images), "--out", str(file)])
    return file if file.is_file() else base


def updated(base: Path, images: Path, folder: Path) -> Path:
    if not folder.is_dir() and not rejected(folder).is_dir():
        code = kmedtl(["update", str(base), "--data", str(images), "--out", str(folder)])
        if code not in (0, 3):
            raise SystemExit(code)
    return folder if folder.is_dir() else rejected(folder)


def figures(model: Path, judge: Path, out: Path) -> list[str]:
    """Return what `kmedtl validate` finds, as text."""
    if not out.is_dir():
        code = kmedtl(["validate", str(model), "--data", str(judge), "--out", str(out)])
        if code:
            raise SystemExit(code)
    found = json.loads((out / "validation.json").read_text())["figures"]
    return [str(estimate_of(found[name]["here"])) if name in found else "–" for name in FIGURES]


if __name__ == "__main__":
    main()
