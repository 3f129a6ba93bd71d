"""Staged fine-tuning: a stage toggles what trains, gets a new optimizer, is compiled, and fits.

Both the new optimizer and `compile` are needed: Keras 3 decides what trains when it compiles, so toggling alone does
nothing. What is frozen is computed once (`frozen_prefix`). BatchNorm layers stay frozen one by one, because
`training=False` does not survive `fit`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np

from kmedtl.backbones.blocks import set_trainable, trainable_kernels
from kmedtl.errors import UserError
from kmedtl.finetune import checkpoint as states
from kmedtl.finetune.batch_norm import adapt, remember_an_epoch
from kmedtl.finetune.block_importance import check_stage, is_adaptive, most_important
from kmedtl.finetune.checkpoint import Epoch, Pass, State
from kmedtl.finetune.epoch_score import judged
from kmedtl.finetune.job import Task
from kmedtl.finetune.l2sp import pulled_to_start
from kmedtl.finetune.lr_range import RangeTest, range_test
from kmedtl.finetune.moving_average import MovingAverage
from kmedtl.finetune.optimizers import optimizer
from kmedtl.finetune.progress import EpochBar
from kmedtl.finetune.shifted_validation import shifted
from kmedtl.finetune.stage_data import Source, sources
from kmedtl.finetune.stage_plan import Plan, plan_pass
from kmedtl.recipe import Stage
from kmedtl.tasks.classification.losses import Distillation, cross_entropy

EPOCH_SEEDS = 1000  # apart, so that epochs share no seed with each other's views and layers


def fine_tune(task: Task, stages: Sequence[Stage]) -> State:
    """Train stage by stage, and leave the model with the weights of the best epoch of all.

    Each stage starts from the best epoch so far.

    Returns:
        the state at the end: the history, the stages as they turned out, and what was measured for that.

    Raises:
        UserError: a stage that names no block; a loss that is not finite, with stage, epoch, step and images; no room
            for the state.
    """
    for stage in stages:  # refuse a misspelt one before the first trains
        check_stage(stage, task.blocks)
    if task.training.select == "worst_shift":
        task = replace(task, data=task.data | {"shift": shifted(task.data["val"], task.seed)})
    fresh = State(list(stages), list(stages), task.model.get_weights())
    state = (states.read(task.folder) if task.folder else None) or fresh
    state.follow(stages)
    while state.number < len(stages):
        _run_pass(task, state)
    if task.folder:
        states.write(state, task.folder)  # a fold that is done trains no more when the run goes on
    task.model.set_weights(state.best)
    return state


def find_rate(task: Task, stages: Sequence[Stage]) -> RangeTest:
    """Train all stages but the last, then return the last one's range test."""
    state = fine_tune(task, stages[:-1])
    state.follow(stages)
    (planned, *_) = _plan_pass(task, state)
    (source,) = sources(task.model, [planned], task.data, task.training.cache_dtype, state.shared.seed)
    _toggle(task, planned)
    return _range_test(task, state, source)


def _run_pass(task: Task, state: State) -> None:
    """Train the stages that share a pass through the frozen part; some of them may be done already."""
    task.model.set_weights(state.start or state.best)
    group = _plan_pass(task, state)
    found = sources(task.model, group, task.data, task.training.cache_dtype, state.shared.seed)
    for planned, source in zip(group, found, strict=True):
        _run_stage(task, state, planned, source)


def _plan_pass(task: Task, state: State) -> list[Plan]:
    """Plan the pass that the current stage is in; a new one begins with what must come before."""
    if state.shared:
        return plan_pass(task, state.stages[state.number : state.shared.last + 1])
    if is_adaptive(state.stage):
        chosen, importance = most_important(task, state.stage)
        listed = ", ".join(f"{name} {value:.2g}" for name, value in importance.items())
        task.say(f"Stage {state.stage.name}: trains {chosen}; relative gradient norms: {listed}")
        state.importance[state.stage.name] = importance
        state.resolve(train=chosen)
    if state.stage.batch_norm == "adapt":
        adapt(task.model, task.blocks, task.data["train"])
    group = plan_pass(task, state.stages[state.number :])
    state.shared = Pass(state.number + len(group) - 1, _epoch_seed(task, state))
    return group


def _run_stage(task: Task, state: State, planned: Plan, source: Source) -> None:
    state.begin(task.model)
    _toggle(task, planned)
    if state.stage.lr == "auto":
        tested = _range_test(task, state, source)
        state.range_tests[state.stage.name] = tested
        state.resolve(lr=tested.lr)
        task.say(f"Stage {state.stage.name}: lr {state.stage.lr:.1e}, by a range test")
    stage, trainer = state.stage, source.trainer
    _compile(task, trainer, stage, optimizer(stage, stage.epochs * task.data["train"].steps, trainer, task.blocks))
    average = MovingAverage(trainer, stage.ema)
    with pulled_to_start(_kernels_of_backbone(task, trainer) if stage.l2_sp else [], stage.l2_sp):
        state.restore(task.model, trainer, average)
        while state.epochs < stage.epochs and not _is_exhausted(task, state):
            _run_epoch(task, state, source, average)
    if stage.interpolate:
        _interpolate(task, state, source)
    task.model.set_weights(state.best)
    state.end_stage()


def _toggle(task: Task, planned: Plan) -> None:
    batch_norm = "trainable" if planned.stage.batch_norm == "train" else "frozen"
    set_trainable(task.model, task.blocks, planned.trainable, batch_norm)
    if batch_norm == "trainable":
        remember_an_epoch(task.model, task.blocks, task.data["train"].steps)


def _compile(task: Task, trainer: keras.Model, stage: Stage, optimizer: keras.optimizers.Optimizer) -> None:
    loss = cross_entropy(task.kind, stage.label_smoothing, stage.focal_gamma)
    if task.taught:
        loss = Distillation(loss, task.kind, task.training.soft_share, task.training.soft_temperature)
    trainer.compile(optimizer, loss, jit_compile=task.training.jit)
    trainer.optimizer.build(trainer.trainable_variables)  # `compile` may have wrapped it, for float16


def _range_test(task: Task, state: State, source: Source) -> RangeTest:
    """Test rates; the weights stay as they were."""
    before = task.model.get_weights()
    steady = replace(state.stage, lr=1.0, warmup=0.0, layer_decay=1.0)
    _compile(task, source.trainer, steady, optimizer(steady, None, source.trainer, task.blocks))
    tested = range_test(source.trainer, source.epoch, _epoch_seed(task, state), state.stage.name)
    task.model.set_weights(before)
    return tested


def _run_epoch(task: Task, state: State, source: Source, average: MovingAverage) -> None:
    stage, seed, trainer = state.stage, _epoch_seed(task, state), source.trainer
    _reseed(trainer, seed)
    train = task.data["train"]
    with EpochBar(
        stage, state.epochs, train.steps, lambda step: train.table["id"].iloc[source.rows(seed, step)]
    ) as bar:
        start = time.perf_counter()
        log = trainer.fit(source.epoch(seed), callbacks=[bar, average], epochs=1, shuffle=False, verbose=0)
        seconds = time.perf_counter() - start
        with average.in_place():
            epoch = Epoch(
                stage=stage.name,
                epoch=state.epochs + 1,
                alpha=1.0,
                loss=log.history["loss"][0],
                **_judge(task, state, source),
                seconds=seconds,
                step_ms=1000 * seconds / train.steps,
            )
            state.add(epoch, task.model)
        bar.finish(epoch)
    state.keep(task.model, trainer, average)
    if task.folder:
        states.write(state, task.folder)
    task.after_epoch(epoch, len(state.history))


def _judge(task: Task, state: State, source: Source) -> dict[str, float]:
    """Return the validation's part of an `Epoch`."""
    logits = source.validate()
    if not all(np.isfinite(values).all() for values in logits.values()):
        raise UserError(
            f"stage {state.stage.name}, epoch {state.epochs + 1}: the weights or logits are no longer finite; "
            f"lower the stage's lr ({state.stage.lr:g})."
        )
    return judged(task, logits)


def _is_exhausted(task: Task, state: State) -> bool:
    """Say whether the stage has had its `patience` of epochs without a better one."""
    merits, patience = [epoch.merit for epoch in state.of_stage], state.stage.patience
    exhausted = bool(patience and merits) and len(merits) - 1 - merits.index(max(merits)) >= patience
    if exhausted:
        task.say(f"Stage {state.stage.name}: no better epoch in {patience}; it ends after {len(merits)}.")
    return exhausted


def _interpolate(task: Task, state: State, source: Source) -> None:
    """Hand on the best of the weights between the stage's start and what it tuned (Wortsman et al. 2022)."""
    tuned, last = state.best, state.history[-1]
    candidates = []
    for alpha in state.stage.interpolate:
        weights = [(1 - alpha) * start + alpha * end for start, end in zip(state.start, tuned, strict=True)]
        task.model.set_weights(weights)
        epoch = replace(last, alpha=alpha, **_judge(task, state, source), seconds=0.0, step_ms=0.0)
        candidates.append((epoch, weights))
        state.history.append(epoch)
        task.after_epoch(epoch, len(state.history))
    chosen, state.best = max(candidates, key=lambda candidate: candidate[0].merit)
    state.merit = chosen.merit
    task.say(f"Stage {state.stage.name}: hands on (1 − α)·start + α·tuned with α = {chosen.alpha:g}")


def _epoch_seed(task: Task, state: State) -> int:
    return task.seed + EPOCH_SEEDS * len(state.history)


def _reseed(trainer: keras.Model, seed: int) -> None:
    """Make what drops out follow from the epoch's seed too, so that a resumed epoch is the same one."""
    generators = [variable for variable in trainer.variables if variable.path.endswith("seed_generator_state")]
    for number, variable in enumerate(generators):
        variable.assign([seed, number])


def _kernels_of_backbone(task: Task, trainer: keras.Model) -> list[keras.Variable]:
    """Return what L2-SP holds; the head has no start worth keeping."""
    return [kernel for kernels in trainable_kernels(trainer, task.blocks[:-1]).values() for kernel in kernels]
