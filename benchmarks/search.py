"""What a search costs and gains: head trials after the cache, the winner beside the recipe as it stands, two workers.

    python benchmarks/search.py FOLDER [--images 3000] [--trials 30] [--size 224] [--workers]

`--images` counts those of training. Prints the seconds of the trials, the features' one pass apart; the gain of the
winner over the default recipe on the test, paired, with its interval; the optimism of the best validation score; and
the memory that the processes of the trials hold, each at its first and last trial (`--trials 100` shows four). With
`--workers` it prints instead how many trials a minute one worker and two carry out beside a chief on this machine.
Measure on a machine that does nothing else. `phantom:60` for a folder is quick, and says nothing.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from kmedtl import config
from kmedtl import recipe as recipes
from kmedtl.recipe import Search
from kmedtl.recipes.pneumonia import RECIPE
from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    from kmedtl.runner import run
    from kmedtl.runs.compare import compare
    from kmedtl.search import records
    from kmedtl.search.process import TRIALS
    from kmedtl.search.result import summary
    from kmedtl.search.run import search


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=3000, help="training images, about")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--tuner", default="bayesian")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--workers", action="store_true", help="time one worker and two")
    options = parser.parse_args()
    recipe = config.override(
        RECIPE,
        [
            f"data.source={options.folder}",
            f"data.limit={round(options.images / 0.7)}",
            f"data.size={options.size}",
            f"search.trials={options.trials}",
            f"search.tuner={options.tuner}",
            "search.prune=none",
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("KMEDTL_CACHE", f"{folder}/cache")
        os.environ.setdefault("KMEDTL_SALT", "of the benchmark")
        measure = throughputs if options.workers else gain
        measure(recipe, Path(folder))


def gain(recipe, folder):
    """Search, run the recipe as it stands, and compare both on the test."""
    result, place = search(recipe, folder / "search")
    print(summary(result, place))
    first, *others = sorted(place.glob("trials/*/record.json"), key=lambda path: path.stat().st_mtime)
    seconds = others[-1].stat().st_mtime - first.stat().st_mtime
    print(f"\nfirst trial, with the features of all: {result.records[0].seconds:.1f} s")
    print(f"{len(others)} further trials: {seconds:.1f} s, {seconds / len(others):.2f} s each")
    held = {number: record.megabytes for number, record in enumerate(result.records, 1) if number % TRIALS in (1, 0)}
    print("memory of the process after trial " + ", ".join(f"{number}: {size:.0f} MB" for number, size in held.items()))
    run(replace(recipe, search=Search()), folder / "default")
    compared = compare([folder / "default", place / "winner"])
    for finished in compared.runs:
        print(f"{finished.name:<8} test AUC {finished.headline}")
    print(f"winner minus default, paired: {compared.gains[1]}")


def throughputs(recipe, folder):
    recipes.write(recipe, folder / "recipe.yaml")
    rates = [throughput(folder / "recipe.yaml", folder / f"shared-{count}", count) for count in (1, 2)]
    for count, rate in enumerate(rates, 1):
        print(f"{count} worker{'s' * (count > 1)}: {60 * rate:.1f} trials a minute")
    print(f"speed-up of 2 workers: {rates[1] / rates[0]:.2f}, on {os.cpu_count()} cores")


def throughput(recipe, shared, count):
    """Return trials a second, from when every worker has done one to the last."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cluster = os.environ | {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}

    def start(name):
        words = [sys.executable, "-m", "kmedtl", "search", str(recipe), "--out", str(shared)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(words, env=cluster | {"KERASTUNER_TUNER_ID": name}, **quiet)

    chief = start("chief")
    while not (shared / "trials" / "oracle.json").exists():
        time.sleep(0.1)
    workers = [start(f"worker-{number}") for number in range(count)]
    for worker in workers:
        worker.wait()
    chief.kill()  # it would run the best recipe
    chief.wait()
    done = {path: path.stat().st_mtime for path in shared.glob("trials/*/record.json")}
    by_worker = {}
    for record in records.read_all(shared / "trials"):
        moment = done[shared / "trials" / f"trial_{record.trial}" / records.RECORD]
        by_worker.setdefault(record.worker, []).append(moment)
    all_at_work = max(min(moments) for moments in by_worker.values())
    later = [moment for moment in done.values() if moment > all_at_work]
    return len(later) / (max(later) - all_at_work)


if __name__ == "__main__":
    main()
