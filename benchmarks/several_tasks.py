"""Several tasks by one network against each by its own, on the synthetic thorax: what asking together gains or costs.

    python benchmarks/several_tasks.py [--patients 160] [--size 96] [--seeds 7 8 9] [--out DIR]

Finding, side and area of a lesion, and its mask, from the same films; each seed draws other patients, another split and
another network. A finished run in DIR is not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    from kmedtl.recipe import Classification, Data, Export, Head, Multi, Recipe, Regression, Segmentation, Stage
    from kmedtl.runner import run
    from kmedtl.statistics.confidence import Estimate

TASKS = {
    "finding": Classification(),
    "side": Classification(target="side"),
    "area": Regression(target="area"),
    "lesion": Segmentation(loss="crossentropy"),  # half of the films have none, of which Dice learns to call nothing
}


def recipe_of(options: argparse.Namespace, seed: int) -> Recipe:
    """Return the recipe that asks everything together, and each alone."""
    return Recipe(
        name="several",
        task=Multi(TASKS),
        data=Data(
            source=f"phantom:{options.patients}",
            size=options.size,
            channels=1,
            batch_size=8,
            aspect="keep",
            structures={"lesion": "*_mask*"},
            missing_masks="empty",
        ),
        head=Head("unet"),
        stages=(
            Stage("heads", train="head", epochs=12, lr=2e-3),
            Stage("last blocks", train="last:2", epochs=8, lr=3e-4),
        ),
        export=Export(formats=()),
        seed=seed,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=160)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--seeds", type=int, nargs="+", default=(7, 8, 9))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="several-"))
    for seed in options.seeds:
        folder = out / f"seed-{seed}"
        if not folder.is_dir():
            run(recipe_of(options, seed), folder, log=lambda text: None)
        found = json.loads((folder / "metrics.json").read_text())["alone"]
        for task, figures in found.items():
            *_, headline = (name for name in figures if name != "gain_together")
            alone, gain = (Estimate(**figures[name]) for name in (headline, "gain_together"))
            print(f"seed {seed}, {task}: alone {headline} {alone}; together minus alone {gain}", flush=True)


if __name__ == "__main__":
    main()
