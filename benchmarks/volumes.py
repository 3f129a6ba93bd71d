"""Whole volumes answered from their slices: which pooling finds what few slices show, and what many slices take.

    python benchmarks/volumes.py pooling [--patients 120] [--seeds 7 8 9] [--out DIR]
    python benchmarks/volumes.py size [--volumes 25 50 100] [--slices 200]

`pooling`: the recipe lung_nodule_ct with each rule of `data.slices`, all else alike; each seed draws other synthetic
people, another split and another head. A finished run in DIR is not run again. `size`: seconds and peak memory of the
same recipe on volumes of noise, from files to a judged model, each count in a process of its own.
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

from kmedtl.images.nifti import load_nibabel
from kmedtl.recipes.lung_nodule_ct import RECIPE
from kmedtl.statistics.confidence import Estimate
from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

RULES = ("mean", "attention", "max")
CHILD = "import sys; from kmedtl.cli import main; sys.exit(main(sys.argv[1:]))"


def pooling(options: argparse.Namespace) -> None:
    """Print a line for each rule and seed: AUC of the test, and whether the slice that tells most has the nodule."""
    bound_arenas()
    with quiet_stderr():
        from kmedtl.recipe import Export
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    rules = commands.add_parser("pooling")
    rules.add_argument("--patients", type=int, default=120)
    rules.add_argument("--seeds", type=int, nargs="+", default=(7, 8, 9))
    rules.add_argument("--out", type=Path)
    rules.set_defaults(run=pooling)
    many = commands.add_parser("size")
    many.add_argument("--volumes", type=int, nargs="+", default=(25, 50, 100))
    many.add_argument("--slices", type=int, default=200)
    many.set_defaults(run=size)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
