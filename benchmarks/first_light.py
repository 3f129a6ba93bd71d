"""Wall time, peak memory and test figures of the pneumonia recipe, as a newcomer runs it, from an empty cache.

python benchmarks/first_light.py                  # the synthetic thorax
python benchmarks/first_light.py --data FOLDER    # real images

Other options are those of `kmedtl run`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main():
    _, options = argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "kmedtl.recipes.pneumonia", "--out", str(out), *options]
        start = time.perf_counter()
        subprocess.run(command, check=True, env=os.environ | {"KMEDTL_CACHE": folder})
        seconds = time.perf_counter() - start
        metrics = json.loads((out / "metrics.json").read_text())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    auc = metrics["test"]["auc"]
    print(f"\n{seconds:.0f} s, peak memory {peak:.2f} GB (the largest process), synthetic: {metrics['synthetic']}")
    print(f"test AUC {auc['value']:.4f} ({auc['low']:.4f}–{auc['high']:.4f})")
    for row in metrics["parity"]:
        print(f"{row['file']}: AUC lost {row['auc_loss']:.4f}, max |Δp| {row['max_difference']:.1e}")


if __name__ == "__main__":
    main()
