"""How a stage begins, how deep to go, and what to do about rare classes. Each is a subcommand; see --help.

    python benchmarks/schedules.py start RECIPE SOURCE [--set KEY=VALUE ...] [--train last:2] [--epochs 3]
    python benchmarks/schedules.py depth RECIPE SOURCE [--set KEY=VALUE ...] [--out DIR]
    python benchmarks/schedules.py imbalance RECIPE SOURCE [--set KEY=VALUE ...] [--out DIR]

`start` trains the head by the recipe's first stage, then from its weights one deeper stage in each of several ways, and
prints loss and headline figure of validation by epoch: what a gentle start is worth. The test is not looked at.
`depth` runs a recipe by its own stages and by `schedule: auto`, and prints figures of the test and their paired
difference; minutes and the stages that trained are in the runs. `imbalance` runs a recipe's stages once for each remedy
against rare classes, and prints headline figure and balanced accuracy of the test, where the most probable class is
called and where the one most probable beside its share is, with the headline's paired difference to no remedy.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    from kmedtl.config import override
    from kmedtl.data import splits
    from kmedtl.finetune.presets import AUTO
    from kmedtl.finetune.stages import fine_tune
    from kmedtl.recipe import Export, Recipe, Stage
    from kmedtl.recipes import find
    from kmedtl.runner import run
    from kmedtl.runs.compare import compare
    from kmedtl.runs.divide import divided
    from kmedtl.runs.prepare import prepare_run
    from kmedtl.runs.reopen import open_run
    from kmedtl.runs.train import build, training_job
    from kmedtl.statistics.confidence import Estimate
    from kmedtl.tasks import task_of

WAYS = {
    "3e-4, as it was": {"lr": 3e-4},
    "3e-4, warm-up over half": {"lr": 3e-4, "warmup": 0.5},
    "3e-4, gradients clipped": {"lr": 3e-4, "clip_norm": 1.0},
    "3e-4, lower blocks slower": {"lr": 3e-4, "layer_decay": 0.5},
    "1e-4": {"lr": 1e-4},
    "3e-5": {"lr": 3e-5},
    "LAMB, 3e-3": {"lr": 3e-3, "optimizer": "lamb"},
    "3e-4, averaged weights": {"lr": 3e-4, "ema": 0.98},
    "3e-4, as schedule auto": {"lr": 3e-4, "layer_decay": 0.85, "warmup": 0.2, "clip_norm": 1.0, "ema": 0.98},
}
REMEDIES = {
    "none": {},
    "class weights": {"class_weights": "balanced"},
    "focal loss": {"focal_gamma": 2.0},
    "balanced sampling": {"sampling": "balanced"},
    "logit adjustment": {"logit_adjustment": 1.0},
}
RULES = {"youden": "the most probable class", "balanced": "the most probable beside its share"}


def measure_start(options: argparse.Namespace) -> None:
    """Print validation by epoch of a deeper stage begun in several ways from the same head."""
    recipe = _recipe(options)
    data = prepare_run(recipe)
    table = splits.split(data.manifest, data.table, recipe.data.validation, recipe.data.test, recipe.seed)
    _, parts = divided(recipe, data, table)
    model, blocks = build(recipe, data.question)
    job = training_job(recipe, model, blocks, parts, data.question, lambda text: None)
    first = Stage("head", "head", 6, 3e-3)
    trained = fine_tune(job, [first])
    before, best = trained.best, max(trained.history, key=lambda epoch: epoch.selection_score)
    print(f"{len(parts['train'].table)} training images; head: loss {best.val_loss:.3f}, figure {best.headline:.4f}")
    for name, settings in WAYS.items():
        model.set_weights(before)
        stage = Stage("deeper", options.train, options.epochs, **settings)
        history = fine_tune(job, [stage]).history
        losses, figures = ([getattr(epoch, what) for epoch in history] for what in ("val_loss", "headline"))
        print(f"{name:26}", "loss", *(f"{loss:.3f}" for loss in losses), end="   ")
        print("figure", *(f"{figure:.4f}" for figure in figures), flush=True)


def measure_depth(options: argparse.Namespace) -> None:
    """Print what a recipe reaches by its own stages and by `schedule: auto`, paired."""
    fixed = _recipe(options)
    auto = replace(fixed, stages=(), schedule=AUTO)
    out = options.out or Path(tempfile.mkdtemp(prefix="depth-"))
    folders = []
    for name, recipe in (("fixed", fixed), ("auto", auto)):
        _, folder = run(replace(recipe, name=name), out / name)
        folders.append(folder)
    found = compare(folders)
    for one in found.runs:
        print(f"{one.name}: {one.headline}")
    print(f"auto minus fixed: {found.gains[1]}; runs: {out}")


def measure_imbalance(options: argparse.Namespace) -> None:
    """Print what each remedy against rare classes reaches."""
    plain = _recipe(options)
    out = options.out or Path(tempfile.mkdtemp(prefix="imbalance-"))
    folders = []
    for name, settings in REMEDIES.items():
        stages = tuple(replace(stage, **settings) for stage in plain.stages)
        recipe = replace(plain, name=name.replace(" ", "_"), stages=stages, export=Export(formats=()))
        folders.append(out / recipe.name)
        if not folders[-1].is_dir():
            run(recipe, folders[-1], log=lambda text: None)
    found = compare(folders)
    for one, gain, folder in zip(found.runs, found.gains, folders, strict=True):
        print(f"{one.recipe.name:20} {one.headline}; gain {gain}")
        for rule in ("youden", "balanced"):
            print(f"{'':20} {RULES[rule]}: balanced accuracy {_balanced_accuracy(folder, rule)}", flush=True)


def _balanced_accuracy(folder: Path, rule: str) -> Estimate:
    """Return that of the test, with the operating point chosen anew on validation."""
    past = open_run(folder)
    task, settings = task_of(past.recipe.task), replace(past.recipe.evaluation, operating_point=rule)
    validation, test = (past.examples(split) for split in ("val", "test"))
    fit = task.fit_decoder(past.question, settings, validation, past.recipe.seed)
    return task.figures(past.question, settings, test, fit.decoder).estimates["balanced_accuracy"]


def _recipe(options: argparse.Namespace) -> Recipe:
    return override(find(options.recipe), [f"data.source={options.source}", *options.settings])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    start = commands.add_parser("start", help="a deeper stage, begun in several ways")
    start.add_argument("--train", default="last:2")
    start.add_argument("--epochs", type=int, default=3)
    start.set_defaults(measure=measure_start)
    depth = commands.add_parser("depth", help="a recipe's own stages against schedule: auto")
    depth.add_argument("--out", type=Path)
    depth.set_defaults(measure=measure_depth)
    imbalance = commands.add_parser("imbalance", help="remedies against rare classes")
    imbalance.add_argument("--out", type=Path)
    imbalance.set_defaults(measure=measure_imbalance)
    for command in (start, depth, imbalance):
        command.add_argument("recipe")
        command.add_argument("source")
        command.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    options.measure(options)


if __name__ == "__main__":
    main()
