"""Decoding, reading and auditing images: kmedtl beside a PyTorch DataLoader with Pillow, in one run.

    python benchmarks/data_pipeline.py [--images 600] [--side 2000] [--epochs 10] [--audit FOLDER]

Radiographs of full size are made first: phantom films, enlarged to SIDE pixels with fine noise, as JPEG of quality
92. Then, with as many workers for both: decode and resize to 224; a second epoch; what EfficientNet-Lite0 as a frozen
backbone consumes; memory over ten epochs. `pip install torch` for the comparison; without it those lines are left out.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 224
BATCH = 32


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--side", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="decode so often by turns, and report the best of each")
    parser.add_argument("--audit", metavar="FOLDER", help="time an audit of this folder as well")
    options = parser.parse_args()

    from kmedtl.system.memory import bound_arenas
    from kmedtl.system.native_logs import quiet_stderr

    bound_arenas()  # as `kmedtl run` does

    with quiet_stderr(), tempfile.TemporaryDirectory() as folder:
        os.environ["KMEDTL_CACHE"] = f"{folder}/cache"
        paths = make_radiographs(Path(folder) / "films", options.images, options.side)
        megabytes = sum(Path(path).stat().st_size for path in paths) / 1e6
        print(f"{len(paths)} JPEG files of {options.side} × {options.side}, {megabytes:.0f} MB, {os.cpu_count()} cores")
        rates = decode(paths, options.rounds)
        rates["second epoch: kmedtl, store"] = read_epochs(paths, options.epochs)
        rates["frozen EfficientNet-Lite0"] = consume()
        report(rates)
        if options.audit:
            audit(options.audit)


def make_radiographs(folder, count, side):
    from kmedtl.data.phantom.source import phantom_manifest

    folder.mkdir()
    table = phantom_manifest(f"phantom:{max(6, count // 2)}", (), 0).table
    paths = []
    for number, path in enumerate((list(table["path"]) * 2)[:count]):
        random = np.random.default_rng(number)
        film = Image.open(path).resize((side, side), Image.Resampling.BICUBIC)
        noisy = np.asarray(film, np.float32) + random.normal(0, 4, (side, side))
        paths.append(str(folder / f"{number}.jpg"))
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(paths[-1], quality=92)
    return paths


class Films:
    """What a PyTorch user writes: open, convert, resize."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            return np.asarray(image.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def decode(paths, rounds):
    """Return images a second of decoding and resizing, by turns so that both meet the same machine."""
    from kmedtl.images.decode import decode_all
    from kmedtl.images.reading import Reading

    contenders = {"first epoch: kmedtl": lambda: decode_all([(path, None) for path in paths], Reading(SIZE, 1))}
    try:
        from torch.utils.data import DataLoader
    except ImportError:
        print("PyTorch is not installed: no comparison")
    else:
        loader = DataLoader(Films(paths), BATCH, num_workers=os.cpu_count())
        contenders["each epoch: PyTorch DataLoader + Pillow"] = lambda: loader
    best = dict.fromkeys(contenders, 0.0)
    for _ in range(rounds):
        for name, work in contenders.items():
            start = time.perf_counter()
            for _ in work():
                pass
            best[name] = max(best[name], len(paths) / (time.perf_counter() - start))
    return best


def read_epochs(paths, epochs):
    """Return images a second of the epochs after the first, shuffled; say what became of memory."""
    import pandas as pd

    from kmedtl.data.manifest import from_rows
    from kmedtl.data.pipeline import Pipeline, Variation
    from kmedtl.data.store import prepare
    from kmedtl.edge.tasks.classification.decoder import LOGITS
    from kmedtl.images.reading import Reading

    rows = [{"id": path, "path": path, "label": "ab"[n % 2], "patient": str(n)} for n, path in enumerate(paths)]
    manifest = from_rows(rows, (), "films")
    start = time.perf_counter()
    store = prepare(manifest.table, Reading(SIZE, 1))
    print(f"store: decoded, resized and written at {len(paths) / (time.perf_counter() - start):.0f} images/s")
    table = manifest.table.merge(store.facts[["id", "record"]], on="id").sort_values("record").reset_index(drop=True)
    pipeline = Pipeline(store, table, {LOGITS: np.zeros((len(table), 1), np.float32)}, BATCH)
    seconds, memory = [], []
    for seed in range(epochs):
        start = time.perf_counter()
        for images, *_ in pipeline.epoch(seed, Variation()):
            assert images.shape[1] == SIZE
        seconds.append(time.perf_counter() - start)
        memory.append(resident())
    print(f"memory over {epochs} epochs, MB: {pd.Series(memory).div(1e6).round().astype(int).to_list()}")
    print(f"memory of the last epoch / of the second: {memory[-1] / memory[1]:.3f}")
    return len(paths) / min(seconds[1:])


def consume():
    """Return images a second of EfficientNet-Lite0's features alone, as a frozen prefix computes them."""
    import keras
    import tensorflow as tf

    from kmedtl.backbones.build import build_features

    image = keras.Input((SIZE, SIZE, 1), name="image")
    model = keras.Model(image, build_features(image, "EfficientNetLite0", "random"))
    compute = tf.function(lambda images: model(images, training=False))
    batch = tf.constant(np.random.default_rng(0).uniform(0, 255, (BATCH, SIZE, SIZE, 1)).astype("float32"))
    compute(batch)
    best = float("inf")
    for _ in range(12):
        start = time.perf_counter()
        compute(batch)[0].numpy()
        best = min(best, time.perf_counter() - start)
    return BATCH / best


def report(rates):
    print()
    for name, rate in rates.items():
        print(f"{name:<42} {rate:>8.0f} images/s")
    store, frozen = rates["second epoch: kmedtl, store"], rates["frozen EfficientNet-Lite0"]
    torch = rates.get("each epoch: PyTorch DataLoader + Pillow")
    print()
    if torch:
        print(f"decode and resize, kmedtl / PyTorch        {rates['first epoch: kmedtl'] / torch:>8.1f} ×")
        print(f"second epoch, kmedtl / PyTorch             {store / torch:>8.1f} ×")
    print(f"store / what the frozen backbone consumes  {store / frozen:>8.1f} ×")


def audit(folder):
    from kmedtl.recipe import Data
    from kmedtl.runs.prepare import prepare

    start = time.perf_counter()
    found = prepare(Data(folder, size=SIZE, channels=1, max_unreadable=1.0), seed=0)
    seconds = time.perf_counter() - start
    print(f"audit of {found.audit.listed} images, decoding included: {seconds:.1f} s")


def resident():
    """Return the bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
