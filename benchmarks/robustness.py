"""What each option against shift gains: the default recipe, then each option alone on top of it, then all together.

    python benchmarks/robustness.py FOLDER [--images 1000] [--size 224] [--seeds 3] [--only NAME …] [--out FILE.csv]
    python benchmarks/robustness.py --scanner [--patients 600] [--size 224] [--only NAME …]
    python benchmarks/robustness.py [FOLDER] --leave-scanner-out [--recipe NAME] [--set data.domain=COLUMN] [--seeds 3]

Prints AUC on clean images, and mean and worst loss of AUC over the corruptions of `kmedtl shift` at severity 3, as mean
± half a 95 % interval over seeds. Choose by validation: the test stands beside it and chooses nothing. All seeds share
one division into patients and differ in initial weights, order and augmentation. A row an option and seed goes to the
CSV as soon as it is measured; started again, the script goes on where it stopped.

With `--scanner`, the synthetic thorax: trained on films of scanner A alone, tested on films of A and of B.

With `--leave-scanner-out`, each value of the column `data.domain` (`site`) is the test once and takes no part in
training or validation; without FOLDER they are the scanners of the synthetic thorax. One table: AUC on validation and
on the one left out, and what each option gains there over the default, paired by scanner and seed, with whether that is
more than the seeds' spread. What cannot train, as alignment of a single scanner, is named and left out.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    from kmedtl.config import override
    from kmedtl.data import splits
    from kmedtl.data.corruptions import PLAUSIBLE
    from kmedtl.data.pipeline import pipelines
    from kmedtl.edge.tasks.classification.calibration import uncalibrated
    from kmedtl.edge.tasks.classification.decoder import LOGITS, ClassDecoder
    from kmedtl.errors import UserError
    from kmedtl.finetune.stage_data import predict_outputs
    from kmedtl.finetune.stages import fine_tune
    from kmedtl.recipes import find
    from kmedtl.runs.prepare import prepare_recipe
    from kmedtl.runs.shift import shift
    from kmedtl.runs.train import build, training_job
    from kmedtl.statistics.confidence import bootstrap, delong_auc
    from kmedtl.tasks.classification.question import ClassQuestion
    from kmedtl.tasks.task import Examples

INTERPOLATE = {"interpolate": (0.0, 0.25, 0.5, 0.75, 1.0)}
# Name → what it sets in every stage, and in `training`.
OPTIONS = {
    "default": ({}, {}),
    "interpolate": (INTERPOLATE, {}),
    "interpolate, worst_shift": (INTERPOLATE, {"select": "worst_shift"}),
    "worst_shift": ({}, {"select": "worst_shift"}),
    "l2_sp": ({"l2_sp": 0.01}, {}),
    "ema": ({"ema": 0.99}, {}),
    "xray_strong": ({"augment": "xray_strong"}, {}),
    "mask": ({"border": "mask"}, {}),
    "crop": ({"border": "crop"}, {}),
    "fourier": ({"style": "fourier"}, {}),
    "mixstyle": ({"style": "mixstyle"}, {}),
    "adapt": ({"batch_norm": "adapt"}, {}),
    "adapt_early": ({"batch_norm": "adapt_early"}, {}),
    "adversarial": ({"domains": "adversarial"}, {}),  # in stages that train more than the head
    "together": (INTERPOLATE | {"ema": 0.99, "augment": "xray_strong", "border": "mask"}, {"select": "worst_shift"}),
}
KEY = ["option", "seed", "images", "size"]
SAME = ["size", "images", "recipe", "source", "domain"]  # in rows that may stand in one table
LEFT_OUT = ["option", "left_out", "seed", *SAME]
FIGURES = ["val_auc", "val_mean_loss", "val_worst_loss", "test_auc", "test_mean_loss", "test_worst_loss"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--images", type=int, default=1000, help="training images, about")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=OPTIONS, metavar="NAME", help=", ".join(OPTIONS))
    parser.add_argument("--out", type=Path, help="default: robustness.csv, or leave_scanner_out.csv")
    parser.add_argument("--recipe", default="pneumonia", help="whose settings are the default")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="of the recipe")
    parser.add_argument("--scanner", action="store_true", help="the synthetic thorax instead of a folder")
    parser.add_argument(
        "--leave-scanner-out", action="store_true", help="test on each scanner or site, trained on the others"
    )
    parser.add_argument("--patients", type=int, default=600, help="of the synthetic thorax")
    options = parser.parse_args()
    options.out = options.out or Path("leave_scanner_out.csv" if options.leave_scanner_out else "robustness.csv")
    synthetic = options.scanner or (options.leave_scanner_out and not options.folder)
    if synthetic == bool(options.folder):
        parser.error("expected a folder of films, or --scanner or --leave-scanner-out without one")
    source = f"phantom:{options.patients}" if synthetic else options.folder
    limit = None if synthetic else round(options.images / 0.7)
    found = find(options.recipe)
    recipe = replace(found, data=replace(found.data, source=source, size=options.size, limit=limit))
    recipe = override(recipe, options.set)
    if options.leave_scanner_out:
        leave_scanner_out(recipe, options)
    elif options.scanner:
        scanners(recipe, options.only or ["default"])
    else:
        ablation(recipe, options)


def ablation(recipe, options):
    question, data = divided(recipe)
    print({name: len(part.table) for name, part in data.items()})
    names = options.only or list(OPTIONS)
    for seed in range(recipe.seed, recipe.seed + options.seeds):
        for name in names:
            key = [name, seed, options.images, options.size]
            if options.out.exists() and key in pd.read_csv(options.out)[KEY].to_numpy(object).tolist():
                continue
            start = time.perf_counter()
            model = trained(with_option(recipe, name, seed), question, data, name)
            if model is None:
                continue
            row = dict(zip(KEY, key, strict=True)) | {"seconds": round(time.perf_counter() - start, 1)}
            row |= judged(model, question, data["val"], "val") | judged(model, question, data["test"], "test")
            pd.DataFrame([row]).to_csv(options.out, mode="a", header=not options.out.exists(), index=False)
            print(row, flush=True)
    table = pd.read_csv(options.out)
    mine = (table["images"] == options.images) & (table["size"] == options.size) & table["option"].isin(names)
    print(markdown(table[mine]))


def divided(recipe, of_training=lambda table: table["split"] != ""):
    """Return the question and a pipeline a split, by the recipe's own seed; training and validation may be cut."""
    prepared = prepare_recipe(recipe)
    manifest = prepared.manifest
    table = splits.split(manifest, prepared.table, recipe.data.validation, recipe.data.test, recipe.seed)
    table = table[(table["split"] == "test") | of_training(table)]
    targets = lambda part: {LOGITS: manifest.targets(part)}  # noqa: E731
    return prepared.question, pipelines(prepared.store, table, recipe.data.batch_size, targets)


def with_option(recipe, name, seed):
    in_stages, in_training = OPTIONS[name]
    return replace(
        recipe,
        seed=seed,
        stages=tuple(replace(stage, **suited(stage, in_stages)) for stage in recipe.stages),
        training=replace(recipe.training, **in_training),
    )


def suited(stage, settings):
    """Return what a stage may be set to: the head alone aligns nothing."""
    return {name: value for name, value in settings.items() if name != "domains" or stage.train != "head"}


def trained(recipe, question, data, name):
    """Return the trained model; None where this option cannot train on these images, which is said."""
    model, blocks = build(recipe, question)
    try:
        fine_tune(training_job(recipe, model, blocks, data, question, print), recipe.stages)
    except UserError as error:
        print(f"{name} is left out: {error}", flush=True)
        return None
    return model


def judged(model, question: ClassQuestion, part, split):
    """Return AUC, and mean and largest loss under the suite, of one split. No figure here needs an operating point."""
    decoder = ClassDecoder("binary", question.classes, uncalibrated("binary", 1), (0.5,))
    ids, patients = (part.table[name].to_numpy(object) for name in ("id", "patient"))
    images = part.pixels()
    known = Examples(ids, patients, part.targets, {}, part.table[[]])
    shifted = shift(lambda images: outputs(model, images), images, known, decoder, severities=(PLAUSIBLE,))
    return {
        f"{split}_auc": shifted.clean.estimates["auc"].value,
        f"{split}_mean_loss": shifted.mean_loss.value,
        f"{split}_worst_loss": shifted.worst.loss.value,
        f"{split}_worst": shifted.worst.corruption,
    }


def outputs(model, images):
    return model.predict(images.astype(np.float32), verbose=0)


def markdown(table):
    """Return a row an option: mean ± half the 95 % interval (Student's t) over seeds."""
    lines = ["| option | seeds | " + " | ".join(name.replace("_", " ") for name in FIGURES) + " |"]
    lines.append("| --- " * (len(FIGURES) + 2) + "|")
    for name in [name for name in OPTIONS if name in set(table["option"])]:
        part = table[table["option"] == name]
        cells = [plus_minus(part[figure].to_numpy()) for figure in FIGURES]
        lines.append(f"| {name} | {len(part)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plus_minus(values):
    if not len(values):
        return "–"
    mean = f"{values.mean():.4f}"
    return mean if len(values) < 2 else f"{mean} ± {half_interval(values):.4f}"


def half_interval(values):
    return t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))


def scanners(recipe, names):
    """Train on scanner A of the synthetic thorax; print AUC on A and on B, and what is lost in between."""
    question, data = divided(recipe, of_training=lambda table: table["site"] == "A")
    test = data["test"].table
    is_a = (test["site"] == "A").to_numpy()
    print({name: len(part.table) for name, part in data.items()}, f"of the test, scanner A: {is_a.sum()}")
    print("\nSYNTHETIC IMAGES: these figures say nothing about patients.")
    print("| option | AUC on A | AUC on B | lost |\n| --- | --- | --- | --- |")
    labels, patients = test["label"].to_numpy(), test["patient"].to_numpy()
    for name in names:
        model = trained(with_option(recipe, name, recipe.seed), question, data, name)
        if model is None:
            continue
        logits = predict_outputs(model, data["test"])[LOGITS][:, 0]
        areas = [delong_auc(labels[rows], logits[rows], patients[rows]) for rows in (is_a, ~is_a)]
        lost = bootstrap(area_lost(labels, logits, is_a), patients, 2000, recipe.seed)
        print(f"| {name} | {areas[0]} | {areas[1]} | {lost} |", flush=True)


def leave_scanner_out(recipe, options):
    """Train without each scanner in turn; print what each option reaches on it, and what it gains there."""
    prepared, column = prepare_recipe(recipe), recipe.data.domain
    if column not in prepared.table:
        raise SystemExit(f"data.domain: expected a column of the source. Received: {column}.")
    table = prepared.table.assign(site=prepared.table[column].astype(object).fillna("").astype(str), split="")
    targets = lambda part: {LOGITS: prepared.manifest.targets(part)}  # noqa: E731
    names = options.only or list(OPTIONS)
    same = [options.size, options.images, recipe.name, prepared.manifest.source_name, column]
    for scanner, fold in splits.folds(prepared.manifest, table, "site", recipe.data.validation, recipe.seed):
        data = pipelines(prepared.store, fold, recipe.data.batch_size, targets)
        print(f"without {scanner}:", {name: len(part.table) for name, part in data.items()})
        for seed in range(recipe.seed, recipe.seed + options.seeds):
            for name in names:
                key = [name, scanner, seed, *same]
                if key in rows_of(options.out)[LEFT_OUT].to_numpy(object).tolist():
                    continue
                model = trained(with_option(recipe, name, seed), prepared.question, data, f"{name} without {scanner}")
                if model is None:
                    continue
                areas = {
                    f"{split}_auc": area(predict_outputs(model, data[split]), data[split]) for split in ("val", "test")
                }
                row = dict(zip(LEFT_OUT, key, strict=True)) | areas
                pd.DataFrame([row]).to_csv(options.out, mode="a", header=not options.out.exists(), index=False)
                print(row, flush=True)
    if not options.folder:
        print("\nSYNTHETIC IMAGES: these figures say nothing about patients.")
    found = rows_of(options.out)
    mine = (found[SAME].to_numpy(object) == np.array(same, object)).all(axis=1)
    print(left_out_table(found[mine & found["option"].isin(names)]))


def rows_of(path):
    """Return what was measured before."""
    return pd.read_csv(path, dtype={"left_out": str}) if path.exists() else pd.DataFrame(columns=LEFT_OUT)


def area(outputs, part):
    """Return the AUC; of several classes the mean over each against the rest, of those that are there."""
    truth, logits = part.targets[LOGITS], outputs[LOGITS]
    scores = softmax(logits, axis=1) if logits.shape[1] > 1 else logits
    both = [column for column in range(truth.shape[1]) if 0 < truth[:, column].mean() < 1]
    return float(np.mean([roc_auc_score(truth[:, column], scores[:, column]) for column in both]))


def left_out_table(table):
    """Return a row an option, of means over scanners: ± half the 95 % interval (Student's t) over seeds."""
    places = ["left_out", "seed"]
    default = table[table["option"] == "default"].set_index(places)["test_auc"]
    lines = ["| option | scanners | seeds | validation AUC | AUC on the one left out | gained over the default | |"]
    lines.append("| --- " * 7 + "|")
    for name in [name for name in OPTIONS if name in set(table["option"])]:
        part = table[table["option"] == name].set_index(places)
        known, elsewhere = (by_seed(part[figure]) for figure in ("val_auc", "test_auc"))
        gained = by_seed((part["test_auc"] - default).dropna())
        told = "" if name == "default" else f"{plus_minus(gained)} | {verdict(gained)}"
        counts = f"{part.index.get_level_values('left_out').nunique()} | {len(known)}"
        lines.append(f"| {name} | {counts} | {plus_minus(known)} | {plus_minus(elsewhere)} | {told or ' | '} |")
    return "\n".join(lines)


def by_seed(values):
    return values.groupby("seed").mean().to_numpy()


def verdict(gained):
    """Say whether a gain is beyond the spread of the seeds."""
    if len(gained) < 2:
        return "too few seeds to say"
    half = half_interval(gained)
    return "helps" if gained.mean() > half else "harms" if gained.mean() < -half else "does not help"


def area_lost(labels, logits, is_a):
    """Return AUC on A minus AUC on B as a function of weights (R, N), for `bootstrap`."""
    above = (logits[:, None] > logits) + (logits[:, None] == logits) / 2
    positive = labels == 1

    def area(weights, rows):
        true, false = weights * (rows & positive), weights * (rows & ~positive)
        with np.errstate(invalid="ignore"):
            return ((true @ above) * false).sum(1) / (true.sum(1) * false.sum(1))

    return lambda weights: area(weights, is_a) - area(weights, ~is_a)


if __name__ == "__main__":
    main()
