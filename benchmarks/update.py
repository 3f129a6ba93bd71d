"""What `kmedtl update` learns from further films, what it forgets, and whether it refuses wrong labels.

    python benchmarks/update.py FOLDER [--size 128] [--parts 3] [--out DIR]

The films are divided into parts by patient. In each a fifth of them is learned from and a tenth chosen by; the rest is
the test, as a gate needs many. A run learns the first part. It is updated with the second, and that with the third; the
first run is updated with the second part again, but with its labels shuffled. For each update it prints the figures of
the gate, before and after, with intervals by patient, and the verdict. Finished runs stay in DIR; started again, the
script goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    from kmedtl.cli import main as kmedtl
    from kmedtl.config import override
    from kmedtl.data import manifest as manifests
    from kmedtl.data import sources, splits
    from kmedtl.recipe import Data
    from kmedtl.recipes.pneumonia import RECIPE
    from kmedtl.runner import run
    from kmedtl.runs.run_folder import rejected
    from kmedtl.statistics.confidence import estimate_of
    from kmedtl.system.text_tables import aligned

VALIDATION, TEST = 0.1, 0.7


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="a source of images; phantom:240 for a trial")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--parts", type=int, default=3, help="of the films; each after the first is an update")
    parser.add_argument("--out", type=Path, default=Path("saved_models/update"))
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="of the updates")
    options = parser.parse_args()
    # Nothing is explained or exported: what is measured is the model.
    settings = [f"data.size={options.size}", "export.formats=[]", "evaluation.cases=0"]
    recipe = override(RECIPE, [*settings, f"data.source={options.folder}"])
    first, *others = divided(recipe.data, options.parts, options.out)

    base = options.out / "first"
    if not base.is_dir():
        run(override(recipe, [f"data.source={first}"]), base)
    rows = [["update", "test", "images", "AUC before", "after", "after minus before", "verdict"]]
    latest = base
    for number, part in enumerate(others, 2):
        latest = updated(latest, part, options.out / f"update-{number}", options.set)
        rows += told(latest)
    rows += told(updated(base, shuffled(others[0]), options.out / "shuffled", options.set))
    print("\n".join(["", *aligned(rows)]))


def divided(data: Data, count: int, out: Path) -> list[Path]:
    """Write a manifest for each part of the films, whole patients; return where."""
    out.mkdir(parents=True, exist_ok=True)
    films = sources.load(data, RECIPE.seed)
    table = films.table.assign(split="")
    places = [out / f"part-{number}.csv" for number in range(1, count + 1)]
    for place, (_, fold) in zip(places, splits.folds(films, table, count, 0.5, RECIPE.seed), strict=True):
        part = fold[fold["split"] == "test"].assign(split="").reset_index(drop=True)
        part = splits.split(films, part, VALIDATION, TEST, RECIPE.seed)
        manifests.write(replace(films, table=part), place)
    return places


def shuffled(part: Path) -> Path:
    """Write a part anew with the labels of its films in another order; return where."""
    import pandas as pd

    table = pd.read_csv(part, dtype=str, keep_default_na=False)
    labels = np.random.default_rng(RECIPE.seed).permutation(table["label"])
    place = part.with_name("shuffled.csv")
    table.assign(label=labels).to_csv(place, index=False)
    return place


def updated(before: Path, part: Path, out: Path, settings: list[str]) -> Path:
    """Return the folder of the update, however it was judged."""
    if not out.is_dir() and not rejected(out).is_dir():
        words = [word for setting in settings for word in ("--set", setting)]
        code = kmedtl(["update", str(before), "--data", str(part), "--out", str(out), *words])
        if code not in (0, 3):
            raise SystemExit(code)
    return out if out.is_dir() else rejected(out)


def told(folder: Path) -> list[list[str]]:
    """Return what the gate found, a row for each of its tests."""
    found = json.loads((folder / "metrics.json").read_text())["update"]
    rows = []
    for part in ("old", "new"):
        one = found[part]
        gain = estimate_of(one["gain"])
        change = f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
        before, after = estimate_of(one["before"]), estimate_of(one["after"])
        rows.append([folder.name, part, str(one["images"]), str(before), str(after), change, one["verdict"]])
    return rows


if __name__ == "__main__":
    main()
