"""Every script of this folder, one after another, and one table of what they found, beside the last time.

    python -m benchmarks.all --quick [--films FOLDER] [--only NAME …] [--out DIR]

With `--quick` each takes a few minutes, on few and small images: that shows whether a claim still holds by and large,
not how large it is. Without it each runs as its page says, which takes a day. Without `--films` the images are
synthetic, and no figure says anything about patients.

What a script prints goes to DIR/NAME.log. The figures go to DIR/figures.csv, a row a script and time; the table shows
each beside that of the run before, and marks what became worse by more than a tenth. Seconds hang on what else the
machine does. Exit code 1 where a script failed or its figure is missing.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from kmedtl.system.progress import progress
from kmedtl.system.text_tables import aligned

HERE = Path(__file__).parent
NUMBER = r"(-?\d+(?:\.\d+)?)"
WORSE = 0.1
# Places in an argument: FILMS, the images; RUN, a run on them; OUT, a folder of the script's own.
SMALL = "--set data.size=96 --set evaluation.cases=0"


@dataclass(frozen=True)
class Benchmark:
    """A script and the figure of it that stands in the table.

    Attributes:
        arguments: of the whole measurement.
        quick: of the one of a few minutes.
        figure: in words.
        pattern: whose first group in what the script prints is the figure.
        least: the better, the less.
    """

    script: str
    arguments: str
    quick: str
    figure: str
    pattern: str
    least: bool = False

    @property
    def name(self) -> str:
        """The script with its subcommand."""
        first = self.quick.split(" ")[0]
        return f"{self.script} {first}" if first.isalpha() and first.islower() else self.script


BENCHMARKS = (
    Benchmark(
        "first_light",
        "--data FILMS",
        f"--data FILMS {SMALL}",
        "test AUC",
        rf"test AUC {NUMBER}",
    ),
    Benchmark("new_recipes", "FILMS", "FILMS --set data.limit=80 --set data.size=96", "test AUC", rf"AUC {NUMBER}"),
    Benchmark(
        "data_pipeline",
        "",
        "--images 60 --side 800 --epochs 3 --rounds 1",
        "store / frozen, ×",
        rf"consumes +{NUMBER} ×",
    ),
    Benchmark("augmentation", "", "--presets xray", "sharpness of one map", rf"one map +\S+ +{NUMBER}"),
    Benchmark("near_duplicates", "FILMS", "FILMS --copies 40", "mirrored copies found, %", rf"mirrored +{NUMBER}%"),
    Benchmark(
        "throughput", "FILMS", "FILMS --limit 100 --size 96", "read the store, images/s", rf"read the store +{NUMBER}"
    ),
    Benchmark(
        "staged_vs_plain",
        "FILMS",
        "FILMS --images 80 --epochs 2",
        "plain Keras / staged, ×",
        rf"plain Keras.* {NUMBER} ×",
    ),
    Benchmark(
        "schedules",
        "start pneumonia FILMS",
        "start pneumonia FILMS --set data.size=96 --epochs 1",
        "AUC of the head",
        rf"figure {NUMBER}",
    ),
    Benchmark(
        "schedules",
        "depth pneumonia FILMS --out OUT",
        "depth pneumonia FILMS --set data.size=96 --out OUT",
        "auto minus fixed",
        rf"auto minus fixed: {NUMBER}",
    ),
    Benchmark(
        "precision", "", "--size 96 --images 64", "float32, ms a step", rf"float32 +False +\S+ +{NUMBER}", least=True
    ),
    Benchmark("segmentation", "int8", "int8 --size 96 --runs 10", "int8 / float32, ×", rf"int8 is {NUMBER}"),
    Benchmark(
        "segmentation",
        "window",
        "window --size 96 --width 600 --height 400",
        "MB in a process",
        rf"at most {NUMBER} MB",
        least=True,
    ),
    Benchmark(
        "volumes", "pooling --out OUT", "pooling --patients 20 --seeds 7 --out OUT", "AUC of max", rf"max: AUC {NUMBER}"
    ),
    Benchmark("volumes", "size", "size --volumes 4 --slices 20", "GB of 4 volumes", rf"peak {NUMBER} GB", least=True),
    Benchmark(
        "several_tasks",
        "--out OUT",
        "--patients 40 --seeds 7 --out OUT",
        "class minus alone",
        rf"together minus alone {NUMBER}",
    ),
    Benchmark(
        "search",
        "FILMS",
        "FILMS --images 80 --trials 4 --size 96",
        "seconds a head trial",
        rf"further trials: \S+ s, {NUMBER} s each",
        least=True,
    ),
    Benchmark(
        "ensembles", "FILMS --out OUT", "FILMS --limit 100 --size 96 --out OUT", "AUC of the mean", rf"mean +{NUMBER}"
    ),
    Benchmark("out_of_distribution", "RUN", "RUN --images 60", "noise told", rf"noise +{NUMBER}"),
    Benchmark("explanations", "RUN", "RUN --images 4 --only grad_cam", "pointing", rf"grad_cam +{NUMBER}"),
    Benchmark("edge", "", "--size 96", "int8, ms an image", rf"model_int8.tflite +\S+ +\S+ +{NUMBER}", least=True),
    Benchmark(
        "robustness",
        "FILMS --out OUT/rows.csv",
        "FILMS --images 80 --size 96 --seeds 1 --only default --out OUT/rows.csv",
        "test AUC",
        rf"'test_auc': {NUMBER}",
    ),
    Benchmark(
        "robustness",
        "--leave-scanner-out --out OUT/rows.csv",
        "--leave-scanner-out --patients 40 --size 96 --seeds 1 --only default mixstyle --out OUT/rows.csv",
        "AUC elsewhere",
        rf"'test_auc': {NUMBER}",
    ),
    Benchmark(
        "adapt",
        "RUN --scores OUT/scores.npz",
        "RUN --scores OUT/scores.npz --draws 5",
        "images judged",
        rf"{NUMBER} films",
    ),
    Benchmark(
        "another_site",
        "--out OUT",
        "--patients 60 --size 96 --labels 25 --out OUT",
        "AUC there, before",
        rf"before +{NUMBER}",
    ),
    Benchmark(
        "update", "FILMS --out OUT", "FILMS --size 96 --out OUT", "rejected where labels are wrong", rf"{NUMBER}"
    ),
    Benchmark(
        "unlabelled",
        "FILMS --out OUT",
        "FILMS --labels 30 --seeds 1 --objectives mean_teacher --out OUT",
        "gain of mean teacher",
        rf"mean_teacher .* {NUMBER}",
    ),
    Benchmark(
        "data_efficiency", "FILMS --out OUT", "FILMS --images 60 --size 96 --out OUT", "AUC of transfer", rf"{NUMBER}"
    ),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few minutes each, on few and small images")
    parser.add_argument("--films", default="phantom:120", help="a folder of films; without one synthetic ones")
    parser.add_argument("--only", nargs="+", choices=sorted({one.script for one in BENCHMARKS}), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("saved_models/benchmarks"))
    options = parser.parse_args()
    chosen = [one for one in BENCHMARKS if not options.only or one.script in options.only]
    options.out.mkdir(parents=True, exist_ok=True)
    started, table = datetime.now().isoformat(timespec="seconds"), options.out / "figures.csv"
    before = pd.read_csv(table) if table.is_file() else pd.DataFrame(columns=["benchmark", "quick", "figure"])
    before = before[before["quick"] == options.quick].drop_duplicates("benchmark", keep="last").set_index("benchmark")
    rows, failed = [["benchmark", "figure", "now", "before", "", "seconds"]], []
    for one in progress(chosen, "Benchmarks", unit="script"):
        start = time.perf_counter()
        found = measured(one, options.quick, options.films, options.out)
        seconds, known = round(time.perf_counter() - start), before["figure"].get(one.name, float("nan"))
        row = {"benchmark": one.name, "started": started, "quick": options.quick, "figure": found, "seconds": seconds}
        pd.DataFrame([row]).to_csv(table, mode="a", header=not table.is_file(), index=False)
        failed += [one.name] if found is None else []
        shown = ["–" if value is None or value != value else f"{value:g}" for value in (found, known)]
        rows.append([one.name, one.figure, *shown, verdict(one, found, known), str(seconds)])
    print("\n".join(aligned(rows)))
    if failed:
        print(f"Without a figure: {', '.join(failed)}; see their logs in {options.out}.")
        raise SystemExit(1)


def measured(one: Benchmark, quick: bool, films: str, out: Path) -> float | None:
    """Return a script's figure; None where it failed or printed none."""
    own = out / one.name.replace(" ", "-")
    own.mkdir(exist_ok=True)
    places = {"FILMS": films, "OUT": str(own)}
    words = (one.quick if quick else one.arguments).split()
    if "RUN" in words:
        places["RUN"] = str(trained(films, quick, out))
    given = [re.sub("FILMS|OUT|RUN", lambda found: places[found.group()], word) for word in words]
    log = own.with_suffix(".log")
    with log.open("w") as file:
        done = subprocess.run(
            [sys.executable, HERE / f"{one.script}.py", *given], stdout=file, stderr=file, check=False
        )
    found = re.search(one.pattern, log.read_text(encoding="utf-8"))
    return float(found.group(1)) if found and not done.returncode else None


def trained(films: str, quick: bool, out: Path) -> Path:
    """Return a run on the films, trained where there is none yet."""
    run = out / ("run-quick" if quick else "run")
    if not run.is_dir():
        small = SMALL.split() if quick else []
        command = [sys.executable, "-m", "kmedtl", "run", "pneumonia", "--data", films, "--out", str(run), *small]
        subprocess.run([*command, "--quiet"], check=True)
    return run


def verdict(one: Benchmark, now: float | None, before: float) -> str:
    """Say whether a figure became worse by more than a tenth of what it was."""
    if now is None:
        return "failed"
    lost = (now - before if one.least else before - now) / max(abs(before), 1e-9)
    return "worse" if lost > WORSE else ""


if __name__ == "__main__":
    main()
