"""One optimizer a stage, warmed up and then lowered along a cosine; a rate a block where the recipe asks for it."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kmedtl.backbones.blocks import HEAD, Block
from kmedtl.recipe import Stage

FASTER = 10  # times the rate of the head, a classifier of domains learns
NO_DECAY = ["bias", "gamma", "beta"]


def optimizer(
    stage: Stage, steps: int | None, model: keras.Model, blocks: Sequence[Block]
) -> keras.optimizers.Optimizer:
    """Return a new optimizer for a stage of `steps` steps; build it before the first, which else is traced twice.

    A classifier of domains, which is in no block, learns ten times as fast as the head, as new layers do in Long et
    al., Deep Adaptation Networks (2015), section 4.1: it has to keep up with a backbone that evades it.

    Biases and norms do not decay, nor does the backbone where L2-SP pulls it elsewhere.

    With None for the steps the rate is steady, and can be assigned.

    Sources: Loshchilov & Hutter, Decoupled Weight Decay Regularization (2019); the cosine from SGDR (2017);
    the linear warm-up from Goyal et al., Accurate, Large Minibatch SGD (2017), section 2.2.
    """
    block_of = _blocks_of_variables(model, blocks)
    backbone = [v for v in model.trainable_variables if block_of.get(v.path, HEAD) != HEAD]
    spared = backbone if stage.l2_sp else []
    aligns = stage.domains != "none" and steps is not None
    if stage.layer_decay == 1 and not aligns:
        return _one(stage, _rate(stage), steps, spared)
    if stage.layer_decay == 1:  # one for all blocks, which clips the gradient of them together
        optimizers = dict.fromkeys((block.name for block in blocks), _one(stage, _rate(stage), steps, spared))
    else:
        optimizers = {name: _one(stage, rate, steps, spared) for name, rate in block_rates(stage, blocks).items()}
    beside = _one(stage, _rate(stage) * (FASTER if aligns else 1), steps, spared)
    return keras.optimizers.MultiOptimizer(lambda variable: optimizers.get(block_of.get(variable.path, ""), beside))


def block_rates(stage: Stage, blocks: Sequence[Block]) -> dict[str, float]:
    """Return each block's peak rate: `lr` at the head, times `layer_decay` for every block before it."""
    return {block.name: _rate(stage) * stage.layer_decay**distance for distance, block in enumerate(reversed(blocks))}


def _rate(stage: Stage) -> float:
    assert not isinstance(stage.lr, str)  # the range test of `auto` has put a number in its place
    return stage.lr


def _one(stage: Stage, rate: float, steps: int | None, spared: Sequence[keras.Variable]) -> keras.optimizers.Optimizer:
    shared = {"weight_decay": stage.weight_decay, "global_clipnorm": stage.clip_norm or None}
    schedule = rate if steps is None else _schedule(rate, stage.warmup, steps)
    if stage.optimizer == "sgd":
        made = keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, **shared)
    elif stage.optimizer == "lamb":
        made = keras.optimizers.Lamb(schedule, **shared)
    else:
        made = keras.optimizers.AdamW(schedule, **shared)
    made.exclude_from_weight_decay(var_list=list(spared), var_names=NO_DECAY)
    return made


def _schedule(rate: float, warmup: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    warmup_steps = round(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=rate / max(warmup_steps, 1) if warmup_steps else rate,
        decay_steps=max(steps - warmup_steps, 1),
        alpha=0.01,
        warmup_target=rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )


def _blocks_of_variables(model: keras.Model, blocks: Sequence[Block]) -> dict[str, str]:
    """Return the block of each variable of the model (or of its suffix) by the variable's path."""
    layers = {layer.name: layer for layer in model.layers}
    return {
        weight.path: block.name
        for block in blocks
        for name in block.layers
        if name in layers
        for weight in layers[name].weights
    }
