"""How near an int8 file comes to its model, by the way that it is made; and what the scanner takes for it.

    python benchmarks/int8.py RUN [RUN …]

RUN is a run folder whose source is still there. For each way the seconds to make the file and the milliseconds
an image on one core; then, of the run's test, the root mean square of what the outputs differ by, the mean and the
largest |Δp| and the decisions that change. Decoders are fitted on validation, as in every export. `weights alone`
leaves activations in float, so that what is lost by either stands apart.

Ways are chosen on validation in a run; here all of them stand side by side, and the test chooses nothing. A run leaves
a quarter of the convolutions in float at most; here it is as many as stands there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    from kmedtl.edge.litert import LiteRTModel
    from kmedtl.edge.shapes import FEATURES
    from kmedtl.export import quantize, saved_model
    from kmedtl.export.exporting import TrainedModel, fitted
    from kmedtl.export.int8 import EARLY, Int8Options
    from kmedtl.runs.export_run import trained_model
    from kmedtl.runs.reopen import open_run
    from kmedtl.system.text_tables import aligned


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    options = parser.parse_args()
    for folder in options.runs:
        run = open_run(folder)
        subject = trained_model(run, print)
        titles = run.task.drift_titles
        rows = [["", "s", "ms", "outputs", *titles.values()]]
        with tempfile.TemporaryDirectory() as aside:
            for name, seconds, file in made(subject, Path(aside)):
                rows.append([name, f"{seconds:.1f}", *judged(subject, file, titles)])
        print("\n".join(["", f"{folder}: {len(subject.test.examples.ids)} of the test", *aligned(rows)]), flush=True)


def made(subject: TrainedModel, aside: Path) -> Iterator[tuple[str, float, Path]]:
    """Yield a file for each way, and the seconds that it took beyond the float32 file."""
    saved = saved_model.write(subject.model, aside / "saved_model")
    whole = quantize.convert(saved)
    calibration = subject.sample(subject.recipe.export.calibration_images)

    def ways() -> Int8Options:
        return Int8Options(saved, whole, subject.sample, subject.recipe.export.calibration_images)

    def quantized(early: int) -> bytes:
        one = ways()
        return quantize.by_ranges(one.rounded, one.few, in_float=quantize.convolution_outputs(one.rounded)[:early])

    each: dict[str, Callable[[], bytes]] = {
        "each weight to the nearest": lambda: quantize.by_ranges(whole, quantize.ranges_of(whole, *calibration)),
        "weights alone": lambda: ways().rounded,
        "all layers": lambda: quantized(0),
    } | {f"the first {early} layers in float": partial(quantized, early) for early in (3, *EARLY)}
    for number, (name, make) in enumerate(each.items()):
        start = time.perf_counter()
        file = aside / f"{number}.tflite"
        file.write_bytes(make())
        yield name, time.perf_counter() - start, file


def judged(subject: TrainedModel, file: Path, titles: dict[str, str]) -> list[str]:
    """Return milliseconds an image, the root mean square of what outputs differ by, and what the gate looks at."""
    model, test = LiteRTModel(file), subject.test
    start = time.perf_counter()
    found = model(*test.inputs)
    spent = 1000 * (time.perf_counter() - start) / len(test.inputs.images)
    outputs = test.bags.outputs(found)
    decoder = fitted(subject, model, file, "int8")[0].decoder
    drift = subject.task.drift(subject.question, test.examples, subject.fit.decoder, outputs, decoder)
    apart = [np.square(test.examples.outputs[name] - outputs[name]).mean() for name in outputs if name != FEATURES]
    return [f"{spent:.1f}", f"{np.sqrt(np.mean(apart)):.4f}", *(f"{drift.figures[name]:.4f}" for name in titles)]


if __name__ == "__main__":
    main()
