"""How the time of a run grows with the number of films: one run for each, and what a million would take.

    python benchmarks/scaling.py FOLDER [--films 500 1000 2000] [--set KEY=VALUE …]

Runs the pneumonia recipe on about so many films each, from an empty cache, in a process of its own. Prints seconds in
all and of the training's epochs, peak memory, and the line through the totals, seconds = start + films × each; then
the hours for 50,000 and a million, if it goes on as straight. Measure on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kmedtl.system.text_tables import aligned

MANY = (50_000, 1_000_000)


@dataclass(frozen=True)
class Measured:
    """A run: films that it read, and trained on; seconds in all and of its epochs; GB of memory at most so far."""

    films: int
    trained: int
    seconds: float
    epochs: float
    memory: float


def measured(source: str, films: int, settings: list[str]) -> Measured:
    """Carry out the recipe on about so many films."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        options = ["--data", source, "--limit", str(films), "--out", str(out)]
        options += [word for setting in settings for word in ("--set", setting)]
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "kmedtl.recipes.pneumonia", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"KMEDTL_CACHE": folder},
        )
        seconds = time.perf_counter() - start
        split = pd.read_csv(out / "manifest.csv")["split"]
        epochs = pd.read_csv(out / "history.csv")["seconds"].sum()
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    return Measured(int(split.notna().sum()), int((split == "train").sum()), seconds, float(epochs), memory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--films", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    found = [measured(options.folder, films, options.settings) for films in options.films]
    rows = [["films", "trained on", "seconds", "of epochs", "a film, ms", "GB of memory"]]
    for one in found:
        figures = [f"{one.seconds:.0f}", f"{one.epochs:.0f}", f"{1000 * one.seconds / one.films:.0f}"]
        rows.append([str(one.films), str(one.trained), *figures, f"{one.memory:.2f}"])
    print("\n".join(aligned(rows)))
    if len(found) > 1:
        each, start = np.polyfit([one.films for one in found], [one.seconds for one in found], 1)
        print(f"\nseconds = {start:.0f} + films × {each:.4f}")
        for films in MANY:
            print(f"{films:,} films: {(start + films * each) / 3600:.1f} hours, if it goes on as straight")


if __name__ == "__main__":
    main()
