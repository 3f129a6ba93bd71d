"""Whole volumes answered from their slices: which pooling finds what few slices show, and what many slices take.

    python benchmarks/volumes.py pooling [--patients 120] [--seeds 7 8 9] [--out DIR]
    python benchmarks/volumes.py size [--volumes 25 50 100] [--slices 200]
    python benchmarks/volumes.py volume RUN
    python benchmarks/volumes.py views [--patients 300] [--seeds 7] [--out DIR]

`pooling`: the recipe lung_nodule_ct with each rule of `data.slices`, all else alike; each seed draws other synthetic
people, another split and another head. A finished run in DIR is not run again. `size`: seconds and peak memory of the
same recipe on volumes of noise, from files to a judged model, each count in a process of its own.

`volume`: RUN is of the recipe hippocampus; the volume of all that its masks mark, in ml, by regression from the same
images in the same splits, against that of RUN's predicted masks.

`views`: two views of a thorax (`phantom_views`) answered together and each alone, by the backbone and head of the
recipe lung_nodule_ct, which are fitted with the views left out at random.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from kmedtl.images.nifti import load_nibabel
from kmedtl.images.read_volume import read_volume
from kmedtl.images.reading import Window
from kmedtl.recipe import Backbone, Export, Head, Recipe, Regression, Stage, read
from kmedtl.recipes.lung_nodule_ct import RECIPE
from kmedtl.statistics.confidence import Estimate
from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr
from kmedtl.tasks.regression.figures import evaluation_of

RULES = ("mean", "attention", "max")
CHILD = "import sys; from kmedtl.cli import main; sys.exit(main(sys.argv[1:]))"


def pooling(options: argparse.Namespace) -> None:
    """Print a line for each rule and seed: AUC of the test, and whether the slice that tells most has the nodule."""
    bound_arenas()
    with quiet_stderr():
        from kmedtl.runner import run
    out = options.out or Path(tempfile.mkdtemp(prefix="volumes-"))
    for seed in options.seeds:
        for rule in RULES:
            folder = out / f"{rule}-{seed}"
            if not folder.is_dir():
                data = replace(RECIPE.data, source=f"phantom_ct:{options.patients}", slices=rule)
                recipe = replace(RECIPE, data=data, export=Export(formats=()), seed=seed)
                run(recipe, folder, log=lambda text: None)
            metrics = json.loads((folder / "metrics.json").read_text())
            found = metrics["slices"]["pointing"]
            auc, hits = Estimate(**metrics["test"]["auc"]), Estimate(**found["hits"])
            chance = f"by chance {found['chance']:.2f}, {found['volumes']} volumes"
            print(f"seed {seed}, {rule}: AUC {auc}; top slice has the nodule {hits}, {chance}", flush=True)


def views(options: argparse.Namespace) -> None:
    """Print for each seed the AUC of the test with all views and with each alone, and what all of them gain."""
    bound_arenas()
    with quiet_stderr():
        from kmedtl.recipe import Export
        from kmedtl.runner import run
    out = options.out or Path(tempfile.mkdtemp(prefix="views-"))
    for seed in options.seeds:
        folder = out / f"views-{seed}"
        if not folder.is_dir():
            source = {"source": f"phantom_views:{options.patients}", "views": ("frontal", "lateral")}
            data = replace(RECIPE.data, **source, neighbours=0, window=Window(), slices="mean")
            recipe = replace(RECIPE, name="views", data=data, export=Export(formats=("int8",)), seed=seed)
            run(recipe, folder, log=lambda text: None)
        metrics = json.loads((folder / "metrics.json").read_text())
        found, int8 = metrics["views"], metrics["parity"][-1]["auc"]
        print(f"seed {seed}, all: AUC {Estimate(**found['every']['auc'])}; int8 {int8:.3f}; missing {found['missing']}")
        for name, one in found["fewer"].items():
            figure, gain = Estimate(**one["auc"]), Estimate(**one["all_minus_this"])
            told = f"all minus this {gain}, {one['examinations']} examinations"
            print(f"seed {seed}, {name}: AUC {figure}; {told}", flush=True)


def size(options: argparse.Namespace) -> None:
    """Print seconds and peak memory of runs on more and more volumes."""
    for count in options.volumes:
        with tempfile.TemporaryDirectory(prefix="volumes-") as folder:
            place = Path(folder)
            for number in range(count):
                _write_volume(place / "set" / "ab"[number % 2] / f"v{number:03}.nii.gz", number, options.slices)
            words = ["run", "lung_nodule_ct", "--data", str(place / "set"), "--out", str(place / "run")]
            settings = ["export.formats=[]", "evaluation.groups=[]", "evaluation.cases=0", "training.tensorboard=false"]
            start = time.perf_counter()
            command = [sys.executable, "-c", CHILD, *words, *(word for one in settings for word in ("--set", one))]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds = time.perf_counter() - start
            # Of all children so far the largest: counts rise.
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            print(f"{count} volumes of {options.slices} slices: {seconds:.0f} s, peak {peak:.2f} GB", flush=True)


def _write_volume(path: Path, number: int, slices: int) -> None:
    """Write noise at 96 × 96 pixels, of the values that the recipe's window shows."""
    values = np.random.default_rng(number).integers(-1000, 100, (96, 96, slices)).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel = load_nibabel()
    nibabel.save(nibabel.Nifti1Image(values, np.diag([3.0, 3.0, 5.0, 1.0])), path)


def volume(options: argparse.Namespace) -> None:
    """Print how far the volume by regression and that of the predicted masks are off the masks' own, and which less."""
    with quiet_stderr():
        from kmedtl.runner import run
    recipe = read(options.of / "recipe.yaml")
    slices = pd.read_csv(options.of / "predictions.csv").query("split == 'test'")
    manifest = pd.read_csv(options.of / "manifest.csv").drop_duplicates("volume")
    table = pd.DataFrame(
        {
            "path": manifest["path"],
            "patient": manifest["volume"],
            "split": manifest["split"],
            "ml": [_marked_ml(path) for path in manifest["mask"]],
        }
    )
    with tempfile.TemporaryDirectory(prefix="volumes-") as folder:
        table.to_csv(Path(folder) / "volumes.csv", index=False)
        data = replace(
            recipe.data, source=str(Path(folder) / "volumes.csv"), structures={}, augment="none", keep_ids=True
        )
        asked = Recipe(
            "hippocampal_volume",
            (Stage("head", train="head", epochs=100, lr=3e-3, weight_decay=0.1, views=1),),
            task=Regression("ml", "ml"),
            data=replace(data, slices="mean"),
            backbone=Backbone(truncate_at="block6"),
            head=Head(standardise=True),
            export=Export(formats=()),
            seed=recipe.seed,
        )
        run(asked, Path(folder) / "run", log=lambda text: None)
        answers = pd.read_csv(Path(folder) / "run" / "predictions.csv").query("split == 'test'")
    columns = [name for name in slices if name.endswith(".volume_predicted")]
    measured = slices.drop_duplicates("volume").set_index("volume")[columns].sum(axis=1)
    truth = table.set_index("patient")["ml"]
    for name, found in (("regression", answers.set_index("patient")["prediction"]), ("masks", measured)):
        both = pd.DataFrame({"truth": truth, "predicted": found}).dropna()
        judged = evaluation_of(both.assign(low=both["predicted"], high=both["predicted"]), both.index.to_numpy())
        told = ("r2", "mae", "bias", "lower_limit", "upper_limit")
        print(f"{name}: " + ", ".join(f"{one} {judged.estimates[one]}" for one in told), flush=True)


def _marked_ml(path: str) -> float:
    mask = read_volume(path)
    return float((mask.values > 0).sum() * np.prod(mask.spacing) / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    rules = commands.add_parser("pooling")
    rules.add_argument("--patients", type=int, default=120)
    rules.add_argument("--seeds", type=int, nargs="+", default=(7, 8, 9))
    rules.add_argument("--out", type=Path)
    rules.set_defaults(run=pooling)
    fused = commands.add_parser("views")
    fused.add_argument("--patients", type=int, default=300)
    fused.add_argument("--seeds", type=int, nargs="+", default=(7,))
    fused.add_argument("--out", type=Path)
    fused.set_defaults(run=views)
    many = commands.add_parser("size")
    many.add_argument("--volumes", type=int, nargs="+", default=(25, 50, 100))
    many.add_argument("--slices", type=int, default=200)
    many.set_defaults(run=size)
    measured = commands.add_parser("volume")
    measured.add_argument("of", metavar="RUN", type=Path)
    measured.set_defaults(run=volume)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
