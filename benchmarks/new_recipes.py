"""Does `kmedtl new` lead from a folder or table to a judged model, without an edit? A line for each source.

    python benchmarks/new_recipes.py SOURCE [SOURCE ...] [--out DIR] [--set KEY=VALUE ...]

Each source gets the recipe that is proposed for it, which is then trained, judged and exported; `--set` makes runs
smaller (`--set data.limit=200`). The line holds the headline figure of the test with its interval and the minutes, or
why there is no recipe. Exit code 1 if a proposed recipe did not go through.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from kmedtl.cli import main as kmedtl


def tried(source: str, out: Path, settings: list[str]) -> tuple[bool, str]:
    """Return whether nothing went wrong, and what came of a source."""
    name = Path(source).stem
    recipe, run = out / f"{name}.yaml", out / name
    begin, errors = time.perf_counter(), io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(errors):
        if kmedtl(["new", name, "--data", source, "--out", str(recipe)]) != 0:
            return True, _last(errors)
        if kmedtl(["run", str(recipe), "--out", str(run), *settings]) != 0:
            return False, _last(errors)
    metrics = json.loads((run / "metrics.json").read_text())
    headline = metrics["headline"]
    figure = metrics["test"][headline]
    minutes = (time.perf_counter() - begin) / 60
    interval = f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"
    return True, f"{metrics['task']}, {headline} {interval}, {minutes:.1f} minutes"


def _last(errors: io.StringIO) -> str:
    return next((line for line in reversed(errors.getvalue().splitlines()) if line.startswith("error")), "no line")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="SOURCE")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="new-"))
    out.mkdir(parents=True, exist_ok=True)
    settings = [word for setting in options.settings for word in ("--set", setting)]
    good = True
    for source in options.sources:
        through, line = tried(source, out, settings)
        good &= through
        print(f"{source}: {line}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
