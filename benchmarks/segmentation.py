"""What a U-Net gains from its parts: cached stages, pretrained weights, int8. Each is a subcommand; see --help.

    python benchmarks/segmentation.py cache FOLDER [--images 200] [--size 192]
    python benchmarks/segmentation.py pretrained FOLDER [--sizes 50 200 1000] [--out DIR]
    python benchmarks/segmentation.py int8 [--size 192] [--runs 60]
    python benchmarks/segmentation.py window [--size 192] [--width 3000] [--height 2000]

`cache` trains the decoder once on cached maps and once through the whole model, in one run, and compares a step's time
and, in float32 and without variation, the weights. `pretrained` runs the recipe `skin_lesion_mask` with so many
training images from ImageNet's weights and from random ones, and pairs their test images; of fewer images both see more
epochs, and what starts at random trains as a whole from the beginning, BatchNorm included. `int8` times both TFLite
files on one image at a time. `window` lets the scanner's command slide its window over one large image, in a process of
its own. Other work on the machine falsifies times.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from kmedtl.system.native_logs import loading_tensorflow, quiet_stderr

with quiet_stderr():
    import keras

    from kmedtl.backbones.blocks import select, set_trainable
    from kmedtl.data import splits
    from kmedtl.data.pipeline import Variation
    from kmedtl.edge import model_info
    from kmedtl.edge.model_info import ModelInfo
    from kmedtl.edge.tasks.segmentation import MASK
    from kmedtl.export.formats import FILES, write_all
    from kmedtl.export.runtimes import open_runtime
    from kmedtl.finetune.frozen_prefix import CachedEpoch, cache, cut
    from kmedtl.recipe import Stage
    from kmedtl.recipes.skin_lesion_mask import RECIPE
    from kmedtl.runner import run
    from kmedtl.runs.compare import compare
    from kmedtl.runs.divide import divided
    from kmedtl.runs.prepare import prepare_run
    from kmedtl.runs.train import build
    from kmedtl.tasks import task_of
    from kmedtl.tasks.segmentation.question import MaskQuestion, plain_decoder

WARM = 3  # steps that are not timed
RATE = 1e-2
SCRATCH = 2e-3  # rate of a network that starts at random
ALONE = """
import sys
from kmedtl.edge.cli import main
from kmedtl.system.memory import peak
main(sys.argv[1:])
print(peak())
"""


def measure_cache(options: argparse.Namespace) -> None:
    """Print milliseconds a step of the decoder's stage, cached and whole, and how far their weights are apart."""
    recipe = replace(
        RECIPE, data=replace(RECIPE.data, source=options.folder, size=options.size, limit=options.images, batch_size=8)
    )
    data = prepare_run(recipe)
    table = splits.split(data.manifest, data.table, recipe.data.validation, recipe.data.test, recipe.seed)
    _, parts = divided(recipe, data, table)
    model, blocks = build(recipe, data.question)
    set_trainable(model, blocks, "head")
    model.get_layer("decoder_dropout").rate = 0.0  # each way would draw its own
    split = cut(model, blocks, select(blocks, "head"))
    assert split is not None
    before, train = model.get_weights(), parts["train"]
    (cached,) = cache([split], {"train": train}, 1, Variation(), "none", "float32", 0)
    epoch = CachedEpoch(cached["train"], recipe.data.batch_size, seed=0)
    pixels, targets = train.pixels(), train.targets[MASK]
    network = task_of(recipe.task).network()
    times, weights = {}, []
    for name, trainer in (("cached", split.suffix), ("whole", keras.Model(model.inputs, model.output))):
        model.set_weights(before)
        trainer.compile(
            keras.optimizers.SGD(RATE, momentum=0.9), network.losses(data.question, None, recipe.training, False)
        )
        seconds = []
        for number in range(len(epoch)):
            rows = epoch.rows(number)
            batch = (pixels[rows].astype(np.float32), {MASK: targets[rows].astype(np.float32)})
            inputs, answers = epoch[number][:2] if name == "cached" else batch
            start = time.perf_counter()
            trainer.train_on_batch(inputs, answers)
            seconds.append(time.perf_counter() - start)
        times[name] = 1000 * float(np.median(seconds[WARM:]))
        weights.append(model.get_weights())
    apart = max(float(np.abs(a - b).max()) for a, b in zip(*weights, strict=True))
    print(f"a step of {recipe.data.batch_size} images at {options.size} px, median of {len(epoch) - WARM}:")
    print(f"  cached {times['cached']:.0f} ms, whole {times['whole']:.0f} ms: {times['whole'] / times['cached']:.1f} ×")
    print(f"  weights after an epoch in float32 are at most {apart:.1e} apart")


def measure_pretrained(options: argparse.Namespace) -> None:
    """Run the recipe with so many images from ImageNet's and from random weights, and print paired gains."""
    most = max(options.sizes)
    out = options.out or Path(tempfile.mkdtemp(prefix="pretrained-"))
    for size in options.sizes:
        folders = []
        staged = tuple(replace(stage, epochs=round(stage.epochs * (most / size) ** 0.5)) for stage in RECIPE.stages)
        whole = Stage("all", "all", sum(stage.epochs for stage in staged), SCRATCH, batch_norm="train", views=0)
        for weights, stages in (("random", (whole,)), ("imagenet", staged)):
            recipe = replace(
                RECIPE,
                stages=stages,
                data=replace(RECIPE.data, source=options.folder, train_limit=size),
                backbone=replace(RECIPE.backbone, weights=weights),
                export=replace(RECIPE.export, formats=()),
            )
            _, folder = run(recipe, out / f"{weights}-{size}", log=lambda text: None)
            folders.append(folder)
        found = compare(folders)
        random, pretrained = (one.headline for one in found.runs)
        print(f"{size} images: random {random}, pretrained {pretrained}, gain {found.gains[1]}", flush=True)
    print(f"runs: {out}; kmedtl compare draws them over the number of images")


def measure_int8(options: argparse.Namespace) -> None:
    """Print the milliseconds that one image takes in the float32 and the int8 file."""
    recipe = replace(RECIPE, data=replace(RECIPE.data, size=options.size))
    model, _ = build(recipe, MaskQuestion(("lesion",), 2.0, "keep"))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (options.runs, options.size, options.size, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder, loading_tensorflow():
        paths = [*write_all(model, Path(folder), images[:16], ("float32", "int8"))]
        medians = {}
        for format in ("float32", "int8"):
            path = next(path for path in paths if path.name == FILES[format])
            runtime = open_runtime(path)
            runtime(images[:WARM])
            seconds = []
            for image in images:
                start = time.perf_counter()
                runtime(image[None])
                seconds.append(time.perf_counter() - start)
            medians[format] = 1000 * float(np.median(seconds))
            print(f"{format}: p50 {medians[format]:.1f} ms, {path.stat().st_size / 1e6:.1f} MB")
    print(f"int8 is {medians['float32'] / medians['int8']:.2f} × as fast")


def measure_window(options: argparse.Namespace) -> None:
    """Print the seconds and the peak of memory of `kmedtl-edge predict --window` on one large image."""
    recipe = replace(RECIPE, data=replace(RECIPE.data, size=options.size))
    question = MaskQuestion(("lesion",), 2.0, "keep")
    model, _ = build(recipe, question)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16, options.size, options.size, 3), np.uint8)
    large = Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8)).resize((options.width, options.height))
    with tempfile.TemporaryDirectory() as folder:
        with loading_tensorflow():
            *_, path = write_all(model, Path(folder), images, ("int8",))
        info = ModelInfo(plain_decoder(question), options.size, 3, recipe.name, "noise", 0, True, "", aspect="keep")
        model_info.attach(info, path)
        large.save(Path(folder) / "large.png")
        arguments = ["predict", path, Path(folder) / "large.png", "--window", "--masks", f"{folder}/masks"]
        start = time.perf_counter()
        command = [sys.executable, "-c", ALONE, *map(str, arguments)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, peak = time.perf_counter() - start, float(done.stdout.split()[-1]) / 1e6
        with Image.open(next(Path(folder, "masks").iterdir())) as mask:
            print(f"{mask.width} × {mask.height} px: {seconds:.1f} s, at most {peak:.0f} MB in a process")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    cached = commands.add_parser("cache", help="the decoder's stage on cached maps against the whole model")
    cached.add_argument("folder", help="images and masks, as the recipe skin_lesion_mask takes them")
    cached.add_argument("--images", type=int, default=200)
    cached.add_argument("--size", type=int, default=192)
    cached.set_defaults(measure=measure_cache)
    pretrained = commands.add_parser("pretrained", help="ImageNet's weights against random ones")
    pretrained.add_argument("folder", help="images and masks, as the recipe skin_lesion_mask takes them")
    pretrained.add_argument("--sizes", type=int, nargs="+", default=(50, 200, 1000))
    pretrained.add_argument("--out", type=Path)
    pretrained.set_defaults(measure=measure_pretrained)
    int8 = commands.add_parser("int8", help="latency of the int8 file against float32")
    int8.add_argument("--size", type=int, default=192)
    int8.add_argument("--runs", type=int, default=60)
    int8.set_defaults(measure=measure_int8)
    window = commands.add_parser("window", help="the scanner's sliding window over a large image")
    window.add_argument("--size", type=int, default=192)
    window.add_argument("--width", type=int, default=3000)
    window.add_argument("--height", type=int, default=2000)
    window.set_defaults(measure=measure_window)
    options = parser.parse_args()
    options.measure(options)


if __name__ == "__main__":
    main()
