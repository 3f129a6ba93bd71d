"""`kmedtl compare`: runs beside each other, from what their folders hold. Imports no TensorFlow."""

from __future__ import annotations

import argparse

import kmedtl
from kmedtl.runs import run_folder


def command(options: argparse.Namespace) -> int:
    from kmedtl.runs import compare_page
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
