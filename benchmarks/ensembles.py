"""What several runs gain as one, and how much of it a small model can learn.

    python benchmarks/ensembles.py FOLDER [--size 160] [--limit 1500] [--backbones NAME NAME NAME] [--out DIR]

On one split of patients it trains

- three runs, of different seeds, and of different backbones where they are named;
- what `kmedtl ensemble` makes of them: each way of voting, and both soups where the backbone is the same;
- EfficientNet-Lite0 on the labels alone, and taught by the mean of the three; with another seed than any of them.

It prints the test AUC of each, each ensemble's gain over each run, and the gain of the taught Lite0 over the other and
over its teacher, all paired by image with intervals by patient. Finished runs stay in DIR; started again, the script
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    from kmedtl.cli import main as kmedtl
    from kmedtl.config import override
    from kmedtl.ensemble.member_comparison import member_comparisons
    from kmedtl.ensemble.members import open_member
    from kmedtl.recipe import SOUPS, Recipe
    from kmedtl.recipes.pneumonia import RECIPE
    from kmedtl.runner import run
    from kmedtl.runs.compare import read_run
    from kmedtl.system.text_tables import aligned
    from kmedtl.tasks import task_of

STUDENT = "EfficientNetLite0"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="a source of images; phantom:60 for a trial")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--limit", type=int, default=1500, help="images, about")
    parser.add_argument("--backbones", nargs=3, default=[STUDENT] * 3, metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("saved_models/ensembles"))
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="of the recipe")
    options = parser.parse_args()
    # Training explains and exports nothing: what is measured is the model.
    common = override(RECIPE, [f"data.size={options.size}", "export.formats=[]", "evaluation.cases=0", *options.set])
    first = override(common, [f"data.source={options.folder}", f"data.limit={options.limit}"])
    shared = override(common, [f"data.source={options.out / 'run-1' / 'manifest.csv'}"])  # and so its split
    if options.folder.startswith("phantom"):
        # Rendered films are poor in detail: once a manifest no longer says that they are, some count as copies.
        shared = override(shared, ["data.allow_leakage=true"])

    runs = []
    for number, backbone in enumerate(options.backbones, 1):
        recipe = override(shared if runs else first, [f"backbone.name={backbone}", f"seed={RECIPE.seed + number - 1}"])
        runs.append(finished(options.out / f"run-{number}", recipe))
    soups = SOUPS if len(set(options.backbones)) == 1 else ()
    made = [together(options.out / method, runs, method) for method in (*task_of(RECIPE.task).vote.methods, *soups)]

    student = override(shared, [f"backbone.name={STUDENT}", f"seed={RECIPE.seed + 3}"])
    alone = finished(options.out / "lite0", student)
    taught = finished(options.out / "lite0-taught", override(student, [f"distill={options.out / 'mean'}"]))

    notice = json.loads((runs[0] / "metrics.json").read_text()).get("notice", "")
    print("\n".join(["", *table(made, runs), "", *table([taught], [alone, options.out / "mean"]), notice]))


def finished(folder: Path, recipe: Recipe) -> Path:
    if not folder.is_dir():
        print(f"\n{folder.name}")
        run(recipe, folder)
    return folder


def together(folder: Path, runs: list[Path], method: str) -> Path:
    if not folder.is_dir():
        code = kmedtl(["ensemble", *map(str, runs), "--method", method, "--out", str(folder)])
        if code:
            raise SystemExit(code)
    return folder


def table(made: list[Path], others: list[Path]) -> list[str]:
    """Return the AUC of each, and what each of `made` gains over each of `others`, image by image."""
    rows = [["", "AUC", *(f"gain over {other.name}" for other in others)]]
    members = [open_member(other) for other in others]
    for folder in made:
        mine = open_member(folder)
        beside = member_comparisons(members, mine.examples("test"), mine.info.decoder, mine.recipe.evaluation)
        gains = [f"{row.gain.value:+.4f} ({row.gain.low:+.4f} to {row.gain.high:+.4f})" for row in beside]
        rows.append([folder.name, str(read_run(folder, folder.name).headline), *gains])
    rows += [[other.name, str(read_run(other, other.name).headline), *[""] * len(others)] for other in others]
    return aligned(rows)


if __name__ == "__main__":
    main()
