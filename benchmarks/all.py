"""Every script of this folder, one after another, and one table of what they found, beside the last time.

    python -m benchmarks.all --quick [--films FOLDER] [--only NAME …] [--out DIR]

With `--quick` each takes a few minutes, on few and small images: that shows whether a claim still holds by and large,
not how large it is. Without it each runs as its page says, which takes a day. Without `--films` the images are
synthetic, and no figure says anything about patients.

What a script prints goes to DIR/NAME.log. The figures go to DIR/figures.csv, a row a script and time; the table shows
each beside that of the time before, of the same films, and marks what became worse by more than a tenth. Seconds hang
on what else the machine does. Exit code 1 where a script failed or its figure is missing. A U-Net's training, which
needs masks, is not among them.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
from PIL import Image

from kmedtl.data.phantom.film import films as phantom_films
from kmedtl.system.progress import progress
from kmedtl.system.text_tables import aligned

HERE = Path(__file__).parent
NUMBER = r"([+-]?\d+(?:\.\d+)?)"
WORSE, LEAST = 0.1, 0.02
SYNTHETIC = "phantom:120"
SIDE, COUNT = 96, 40  # of the synthetic films as files


@dataclass(frozen=True)
class Benchmark:
    """A script and the figure of it that stands in the table.

    Attributes:
        command: the script and what it is given; FILMS are the images, FILES the same or others as a folder of files,
            RUN is a run on FILMS, OUT an empty folder.
        quick: further options, for the measurement of a few minutes.
        figure: in words.
        pattern: whose first group in what the script prints is the figure.
        least: the better, the less.
    """

    name: str
    command: str
    quick: str
    figure: str
    pattern: str
    least: bool = False


TINY = "--set data.size=96 --set evaluation.cases=0"
BENCHMARKS = (
    Benchmark("first command", "first_light --data FILMS", TINY, "test AUC", rf"test AUC {NUMBER}"),
    Benchmark(
        "proposed recipe", "new_recipes FILES", f"{TINY} --set data.limit=80", "its headline", rf": \D*{NUMBER} \("
    ),
    Benchmark(
        "decoding",
        "data_pipeline",
        "--images 60 --side 800 --epochs 3 --rounds 1",
        "store / frozen part",
        rf"consumes +{NUMBER} ×",
    ),
    Benchmark("augmentation", "augmentation", "--presets xray", "sharpness of one map", rf"one map +\S+ +{NUMBER}"),
    Benchmark("near copies", "near_duplicates FILES", "--copies 20", "mirrored, found, %", rf"mirrored +{NUMBER}%"),
    Benchmark(
        "throughput", "throughput FILMS", "--limit 100 --size 96", "read, images/s", rf"read the store +{NUMBER}"
    ),
    Benchmark("many films", "scaling FILMS", f"{TINY} --films 60 120", "s a film", rf"films × {NUMBER}", True),
    Benchmark(
        "staged and plain", "staged_vs_plain FILMS", "--images 80 --epochs 2", "plain / staged", rf"plain.* {NUMBER} ×"
    ),
    Benchmark(
        "starting a stage",
        "schedules start pneumonia FILMS",
        "--set data.size=96 --epochs 1",
        "AUC of the head",
        rf"figure {NUMBER}",
    ),
    Benchmark(
        "auto",
        "schedules depth pneumonia FILMS --out OUT/runs",
        TINY,
        "auto minus fixed",
        rf"auto minus fixed: {NUMBER}",
    ),
    Benchmark("frozen part", "frozen_part", "--size 96", "LiteRT, times as fast", rf"LiteRT +\S+ +{NUMBER}"),
    Benchmark(
        "precision", "precision", "--size 96 --images 64", "float32, ms a step", rf"float32 +False +\S+ +{NUMBER}", True
    ),
    Benchmark("int8 masks", "segmentation int8", "--size 96 --runs 10", "times as fast", rf"int8 is {NUMBER}"),
    Benchmark(
        "large masks", "segmentation window", "--size 96 --width 600 --height 400", "MB", rf"at most {NUMBER} MB", True
    ),
    Benchmark("pooling", "volumes pooling --out OUT", "--patients 20 --seeds 7", "AUC of max", rf"max: AUC {NUMBER}"),
    Benchmark("volumes", "volumes size", "--volumes 12 --slices 20", "GB", rf"peak {NUMBER} GB", True),
    Benchmark("several tasks", "several_tasks --out OUT", "--patients 40 --seeds 7", "gain", rf"minus alone {NUMBER}"),
    Benchmark("search", "search FILMS", "--images 80 --trials 4 --size 96", "s a trial", rf"{NUMBER} s each", True),
    Benchmark("ensemble", "ensembles FILMS --out OUT", "--limit 100 --size 96", "AUC of the mean", rf"mean +{NUMBER}"),
    Benchmark("unlike images", "out_of_distribution RUN", "--images 60", "noise, told", rf"noise +{NUMBER}"),
    Benchmark("explanations", "explanations RUN", "--images 8 --only grad_cam", "pointing", rf"grad_cam +{NUMBER}"),
    Benchmark("adapting", "adapt RUN --scores OUT/scores.npz", "--draws 5", "films judged", rf"{NUMBER} films"),
    Benchmark("int8", "int8 RUN", "", "mean |Δp|", rf"first 6 layers in float +\S+ +\S+ +\S+ +{NUMBER}", True),
    Benchmark("scanner", "edge", "--size 96", "int8, ms", rf"model_int8.tflite(?: +\S+){{2}} +{NUMBER}", True),
    Benchmark(
        "shift",
        "robustness FILMS --out OUT/rows.csv",
        "--images 80 --size 96 --seeds 1 --only default",
        "test AUC",
        rf"'test_auc': {NUMBER}",
    ),
    Benchmark(
        "scanners left out",
        "robustness --leave-scanner-out --out OUT/rows.csv",
        "--patients 40 --size 96 --seeds 1 --only default",
        "AUC there",
        rf"'test_auc': {NUMBER}",
    ),
    Benchmark(
        "another site",
        "another_site --out OUT",
        "--patients 120 --size 96 --labels 25",
        "AUC there",
        rf"before +{NUMBER}",
    ),
    Benchmark("update", "update FILMS --out OUT", "--size 96", "AUC of the first", rf"old +\S+ +{NUMBER}"),
    Benchmark(
        "few images",
        "data_efficiency FILMS --out OUT",
        "--images 60 --size 96",
        "AUC of transfer",
        rf"transfer.*? {NUMBER} \(",
    ),
    Benchmark(
        "unlabelled",
        "unlabelled FILMS --out OUT",
        "--labels 30 --seeds 1 --objectives mean_teacher",
        "gain",
        r"mean_teacher +\d+ +([+-]\d+\.\d+)",
    ),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few minutes each, on few and small images")
    parser.add_argument("--films", help="a folder of films by class; without it synthetic ones")
    names = [one.name for one in BENCHMARKS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--out", type=Path, default=Path("saved_models/benchmarks"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    started, table = datetime.now().isoformat(timespec="seconds"), options.out / "figures.csv"
    same = {"quick": options.quick, "films": options.films or SYNTHETIC}
    before = last_figures(table, same)
    rows, failed = [["benchmark", "figure", "now", "before", "", "seconds"]], []
    chosen = [one for one in BENCHMARKS if not options.only or one.name in options.only]
    with tempfile.TemporaryDirectory() as aside:
        places = prepared(options.films, Path(aside))
        for one in progress(chosen, "Benchmarks", unit="script"):
            start = time.perf_counter()
            found = measured(one, options.quick, places, Path(aside) / one.name, options.out / f"{one.name}.log")
            seconds = round(time.perf_counter() - start)
            row = {"benchmark": one.name, "started": started, **same, "figure": found, "seconds": seconds}
            pd.DataFrame([row]).to_csv(table, mode="a", header=not table.is_file(), index=False)
            known = before.get(one.name, math.nan)
            failed += [one.name] if math.isnan(found) else []
            shown = ["–" if math.isnan(value) else f"{value:g}" for value in (found, known)]
            rows.append([one.name, one.figure, *shown, verdict(one, found, known), str(seconds)])
    print("\n".join(aligned(rows)))
    if failed:
        print(f"Without a figure: {', '.join(failed)}; {options.out} has what they printed.")
        raise SystemExit(1)


def last_figures(table: Path, same: dict[str, object]) -> dict[str, float]:
    """Return each benchmark's figure of the last time that it had one, with the same settings."""
    if not table.is_file():
        return {}
    found = pd.read_csv(table)
    alike = (found[list(same)] == pd.Series(same)).all(axis=1)
    return dict(found[alike].dropna(subset="figure")[["benchmark", "figure"]].to_numpy().tolist())


def prepared(films: str | None, aside: Path) -> dict[str, str]:
    """Return what stands for FILMS, FILES and RUN in a command; the run is trained where it is first asked for."""
    places = {"FILMS": films or SYNTHETIC, "FILES": films or str(aside / "films"), "RUN": str(aside / "run")}
    if not films:
        for number, film in enumerate(phantom_films(COUNT, 0, SIDE)):
            path = aside / "films" / film.label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(film.image).save(path)
    return places


def measured(one: Benchmark, quick: bool, places: dict[str, str], own: Path, log: Path) -> float:
    """Return a script's figure; NaN where it failed or printed none."""
    own.mkdir()
    known = places | {"OUT": str(own)}
    script, *words = f"{one.command} {one.quick if quick else ''}".split()
    command = [str(HERE / f"{script}.py"), *(known.get(word) or word.replace("OUT/", f"{own}/") for word in words)]
    with log.open("w") as file:
        if "RUN" in words and not Path(places["RUN"]).is_dir():
            run = ["-m", "kmedtl", "run", "pneumonia", "--data", places["FILMS"], "--out", places["RUN"]]
            subprocess.run(
                [sys.executable, *run, *(TINY.split() if quick else [])], stdout=file, stderr=file, check=False
            )
        done = subprocess.run([sys.executable, *command], stdout=file, stderr=file, check=False)
    found = re.search(one.pattern, log.read_text(encoding="utf-8"))
    return float(found.group(1)) if found and not done.returncode else math.nan


def verdict(one: Benchmark, now: float, before: float) -> str:
    """Say whether a figure became worse by more than a tenth of what it was; of gains, which lie around 0, by .02."""
    lost = now - before if one.least else before - now
    return "failed" if math.isnan(now) else "worse" if lost > max(WORSE * abs(before), LEAST) else ""


if __name__ == "__main__":
    main()
