"""`kmedtl compare`: runs beside each other, from what their folders hold. Imports no TensorFlow."""

from __future__ import annotations

import argparse
from pathlib import Path

import kmedtl
from kmedtl.commands.checks import check_run

HELP = "show what differs between runs, and what it did to the test"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders; the first is the reference")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: saved_models/compare/TIME)")


def command(options: argparse.Namespace) -> int:
    for run in options.runs:
        check_run(run)
    from kmedtl.runs import compare_page, run_folder
    from kmedtl.runs.compare import compare

    comparison = compare(options.runs)
    final = run_folder.choose(options.out, "compare")
    with run_folder.building(final) as folder:
        compare_page.write(comparison, folder, kmedtl.__version__)
    print("\n".join(compare_page.summary(comparison)))
    if comparison.notice:
        print(comparison.notice)
    print(f"Page: {final / 'compare.html'}")
    return 0
