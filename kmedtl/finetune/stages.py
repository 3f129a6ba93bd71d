"""Staged fine-tuning: a stage toggles what trains, gets a new optimizer, is compiled, and fits.

Both the new optimizer and `compile` are needed: Keras 3 decides what trains when it compiles, so toggling alone does
nothing. What is frozen is computed once (`frozen_prefix`). BatchNorm layers stay frozen one by one, because
`training=False` does not survive `fit`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kmedtl.backbones.blocks import BatchNorm, set_trainable, trainable_kernels
from kmedtl.data.pipeline import UNLABELLED
from kmedtl.errors import UserError
from kmedtl.finetune import checkpoint as states
from kmedtl.finetune.adversarial import ADVERSARIAL, Ramp, aligning_losses, check_alignment
from kmedtl.finetune.batch_norm import adapt, adapted_blocks, remember_an_epoch
from kmedtl.finetune.block_importance import check_stage, is_adaptive, most_important
from kmedtl.finetune.checkpoint import Checkpoint, Epoch, Pass
from kmedtl.finetune.deepening import LEAST_EPOCHS, epochs_within, gain_of, is_worth_more, work_of
from kmedtl.finetune.determinism import reseed
from kmedtl.finetune.epoch_score import unjudged, validation_metrics
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.l2sp import pulled_to_start
from kmedtl.finetune.lr_range import RangeTest, range_test
from kmedtl.finetune.mix_style import styled_places
from kmedtl.finetune.moving_average import MovingAverage
from kmedtl.finetune.objectives import behind_of, check_objectives, images_of
from kmedtl.finetune.optimizers import optimizer
from kmedtl.finetune.progress import EpochBar
from kmedtl.finetune.same_data import check_same, hashes_of
from kmedtl.finetune.shifted_validation import shifted
from kmedtl.finetune.stage_data import Source, sources
from kmedtl.finetune.stage_plan import Plan, plan_pass
from kmedtl.finetune.volume_steps import check_stages
from kmedtl.recipe import Stage
from kmedtl.statistics.confidence import Estimate

EPOCH_SEEDS = 1000  # apart, so that epochs share no seed with each other's views and layers


def fine_tune(job: TrainingJob, stages: Sequence[Stage]) -> Checkpoint:
    """Train stage by stage, and leave the model with the weights of the best epoch of all.

    Each stage starts from the best epoch so far.

    Returns:
        the state at the end: the history, the stages as they turned out, and what was measured for that.

    Raises:
        UserError: a stage that names no block, or has no images for its objective; a state that other images or targets
            led to; a loss that is not finite, with stage, epoch, step and images; no room for the state.
    """
    _check(job, stages)
    data = _hashes(job, stages) if job.folder else {}
    if job.training.select == "worst_shift":
        job = replace(job, data=job.data | {"shift": shifted(job.data["val"], job.seed)})
    fresh = Checkpoint(list(stages), list(stages), job.model.get_weights(), data=data)
    state = (states.read(job.folder) if job.folder else None) or fresh
    check_same(state.data, data)
    state.resume_with(stages)
    while not state.is_done:
        _run_pass(job, state)
    if job.folder:
        states.write(state, job.folder)  # a fold that is done trains no more when the run goes on
    job.model.set_weights(state.best)
    return state


def _check(job: TrainingJob, stages: Sequence[Stage]) -> None:
    """Refuse what a stage cannot do with this network or these images before the first one trains."""
    train = job.data["train"]
    if train.pooling:
        check_stages(stages, bool(train.views))
    for stage in stages:
        check_stage(stage, job.blocks)
        styled_places(stage, job.model, job.blocks)
        adapted_blocks(stage, job.model, job.blocks)
        check_alignment(stage, job.domain, train.table, job.model, job.blocks)
    check_objectives(job, stages)


def _hashes(job: TrainingJob, stages: Sequence[Stage]) -> dict[str, str]:
    """Return those of everything that stages learn from and are judged by."""
    aligned = job.domain if any(stage.domains == ADVERSARIAL for stage in stages) else ""
    beside = {} if job.unlabelled is None else {UNLABELLED: job.unlabelled}
    return hashes_of(job.data | beside, job.distilled, aligned)


def find_rate(job: TrainingJob, stages: Sequence[Stage]) -> RangeTest:
    """Train all stages but the last, then return the last one's range test."""
    state = fine_tune(job, stages[:-1])
    state.resume_with(stages)
    (planned, *_) = _plan_pass(job, state)
    assert state.shared is not None  # the pass that was just planned
    (source,) = _sources(job, [planned], state.shared.seed)
    _toggle(job, planned, source.steps)
    return _range_test(job, state, source)


def _run_pass(job: TrainingJob, state: Checkpoint) -> None:
    """Train the stages that share a pass through the frozen part; some of them may be done already."""
    job.model.set_weights(state.start or state.best)
    group = _plan_pass(job, state)
    assert state.shared is not None  # the pass that was just planned
    found = _sources(job, group, state.shared.seed)
    for number, planned in enumerate(group):
        once, epoch = work_of(job, planned)
        once *= number == 0  # those that share a pass have had it
        if job.while_gaining and not _goes_on(job, state, once, epoch):
            return
        state.work += once + epoch * state.stage.epochs
        _run_stage(job, state, planned, next(found))


def _sources(job: TrainingJob, group: Sequence[Plan], seed: int) -> Iterator[Source]:
    stage = group[0].stage
    data, behind = images_of(job, stage), behind_of(job, stage)
    return sources(job.model, group, data, job.training.cache_dtype, seed, behind)


def _plan_pass(job: TrainingJob, state: Checkpoint) -> list[Plan]:
    """Plan the pass that the current stage is in; a new one begins with what must come before."""
    if state.shared:
        return plan_pass(job, state.to_plan(state.shared.last))
    if is_adaptive(state.stage):
        chosen, importance = most_important(job, state.stage)
        listed = ", ".join(f"{name} {value:.2g}" for name, value in importance.items())
        job.log(f"Stage {state.stage.name}: trains {chosen}; relative gradient norms: {listed}")
        state.importance[state.stage.name] = importance
        state.resolve(train=chosen)
    if adapted := adapted_blocks(state.stage, job.model, job.blocks):
        adapt(job.model, adapted, job.data["train"])
    group = plan_pass(job, state.to_plan(len(state.stages) - 1))
    state.shared = Pass(state.number + len(group) - 1, _epoch_seed(job, state))
    return group


def _goes_on(job: TrainingJob, state: Checkpoint, once: float, epoch: float) -> bool:
    """Say whether a further stage trains, for as many epochs as there is time for; else leave it and the rest out.

    Args:
        once, epoch: its multiplications, see `work_of`.
    """
    if not state.number or state.epochs:  # the first one, or one that goes on
        return True
    stage, before = state.stage, state.stages[state.number - 1].name
    gain, fit = state.gains.get(before), epochs_within(job, state, once, epoch)
    if gain and not is_worth_more(gain):
        state.stop(f"stage {before} gained {gain} on validation, no more than its noise")
    elif fit < min(LEAST_EPOCHS, stage.epochs):
        state.stop(f"of training.minutes={job.training.minutes:g} too little is left for stage {stage.name}")
    elif fit < stage.epochs:
        job.log(
            f"Stage {stage.name}: {fit} of {stage.epochs} epochs fit into training.minutes={job.training.minutes:g}"
        )
        state.resolve(epochs=fit)
    if state.stopped:
        job.log(f"No deeper: {state.stopped}.")
    return not state.stopped


def _run_stage(job: TrainingJob, state: Checkpoint, planned: Plan, source: Source) -> None:
    state.start_stage(job.model)
    _toggle(job, planned, source.steps)
    if state.stage.lr == "auto":
        tested = _range_test(job, state, source)
        state.range_tests[state.stage.name] = tested
        state.resolve(lr=tested.lr)
        job.log(f"Stage {state.stage.name}: lr {state.stage.lr:.1e}, by a range test")
    stage, trainer = state.stage, source.trainer
    _compile(job, source, stage, optimizer(stage, stage.epochs * source.steps, trainer, job.blocks))
    average = MovingAverage(trainer, stage.ema)
    source.begin(average)
    with pulled_to_start(_held(job, trainer) if stage.l2_sp else [], stage.l2_sp):
        state.restore(job.model, trainer, average)
        while state.epochs < stage.epochs and not _is_exhausted(job, state):
            _run_epoch(job, state, source, average)
    if stage.interpolate:
        _interpolate(job, state, source)
    if job.while_gaining and state.number:  # the first starts from a random head, so its gain says nothing
        state.gains[stage.name] = _gain(job, state, source)
    job.model.set_weights(state.best)
    state.end_stage()


def _gain(job: TrainingJob, state: Checkpoint, source: Source) -> Estimate:
    """Return what the stage gained on validation."""
    outputs = []
    for weights in (state.start, state.best):
        job.model.set_weights(weights)
        outputs.append(source.validate()["val"])
    gain = gain_of(job, *outputs)
    job.log(f"Stage {state.stage.name}: gained {gain} on validation")
    return gain


def _toggle(job: TrainingJob, planned: Plan, steps: int) -> None:
    batch_norm: BatchNorm = "trainable" if planned.stage.batch_norm == "train" else "frozen"
    set_trainable(job.model, job.blocks, planned.trainable, batch_norm)
    if batch_norm == "trainable":
        remember_an_epoch(job.model, job.blocks, steps)


def _compile(job: TrainingJob, source: Source, stage: Stage, optimizer: keras.optimizers.Optimizer) -> None:
    trainer = source.trainer
    trainer.compile(
        optimizer, source.losses(job.losses(stage) | aligning_losses(trainer)), jit_compile=job.training.jit
    )
    trainer.optimizer.build(trainer.trainable_variables)  # `compile` may have wrapped it, for float16


def _range_test(job: TrainingJob, state: Checkpoint, source: Source) -> RangeTest:
    """Test rates; the weights stay as they were."""
    before = source.trainer.get_weights()
    steady = replace(state.stage, lr=1.0, warmup=0.0, layer_decay=1.0)
    _compile(job, source, steady, optimizer(steady, None, source.trainer, job.blocks))
    tested = range_test(source.trainer, source.epoch, _epoch_seed(job, state), state.stage.name)
    source.trainer.set_weights(before)
    return tested


def _run_epoch(job: TrainingJob, state: Checkpoint, source: Source, average: MovingAverage) -> None:
    stage, seed, trainer = state.stage, _epoch_seed(job, state), source.trainer
    reseed(trainer, seed)  # so that a resumed epoch is the same one
    ids = job.data["train"].table["id"]
    with EpochBar(stage, state.epochs, source.steps, lambda step: ids.iloc[source.rows(seed, step)]) as bar:
        start = time.perf_counter()
        ramp = Ramp(trainer, state.epochs * source.steps, stage.epochs * source.steps)
        watching = [bar, average, ramp, *source.callbacks]
        fitted = trainer.fit(source.epoch(seed), callbacks=watching, epochs=1, shuffle=False, verbose=0)
        seconds = time.perf_counter() - start
        with average.in_place():
            epoch = Epoch(
                stage=stage.name,
                epoch=state.epochs + 1,
                alpha=1.0,
                loss=fitted.history["loss"][0],
                **_judge(job, state, source),
                seconds=seconds,
                step_ms=1000 * seconds / source.steps,
            )
            state.record_epoch(epoch, job.model, source.is_judged)
        bar.finish(epoch)
    state.capture(job.model, trainer, average)
    if job.folder:
        states.write(state, job.folder)
    job.after_epoch(epoch, len(state.history))


def _judge(job: TrainingJob, state: Checkpoint, source: Source) -> dict[str, Any]:
    """Return the validation's part of an `Epoch`; where nothing is judged, by the names that the first one asks for."""
    if state.epochs and not source.is_judged:
        return unjudged(state.history[-1].figures)
    outputs = source.validate()
    if not all(np.isfinite(values).all() for found in outputs.values() for values in found.values()):
        raise UserError(
            f"stage {state.stage.name}, epoch {state.epochs + 1}: the weights or outputs are no longer finite; "
            f"lower the stage's lr ({state.stage.lr:g})."
        )
    found = validation_metrics(job, outputs)
    return found if source.is_judged else unjudged(found["figures"])


def _is_exhausted(job: TrainingJob, state: Checkpoint) -> bool:
    """Say whether the stage has had its `patience` of epochs without a better one."""
    merits, patience = [epoch.selection_score for epoch in state.of_stage], state.stage.patience
    exhausted = bool(patience and merits) and len(merits) - 1 - merits.index(max(merits)) >= patience
    if exhausted:
        job.log(f"Stage {state.stage.name}: no better epoch in {patience}; it ends after {len(merits)}.")
    return exhausted


def _interpolate(job: TrainingJob, state: Checkpoint, source: Source) -> None:
    """Hand on the best of the weights between the stage's start and what it tuned (Wortsman et al. 2022)."""
    tuned, last = state.best, state.history[-1]
    candidates = []
    for alpha in state.stage.interpolate:
        weights = [(1 - alpha) * start + alpha * end for start, end in zip(state.start, tuned, strict=True)]
        job.model.set_weights(weights)
        epoch = replace(last, alpha=alpha, **_judge(job, state, source), seconds=0.0, step_ms=0.0)
        candidates.append((epoch, weights))
        state.history.append(epoch)
        job.after_epoch(epoch, len(state.history))
    chosen, state.best = max(candidates, key=lambda candidate: candidate[0].selection_score)
    state.selection_score = chosen.selection_score
    job.log(f"Stage {state.stage.name}: hands on (1 − α)·start + α·tuned with α = {chosen.alpha:g}")


def _epoch_seed(job: TrainingJob, state: Checkpoint) -> int:
    return job.seed + EPOCH_SEEDS * len(state.history)


def _held(job: TrainingJob, trainer: keras.Model) -> list[keras.Variable]:
    """Return the kernels that L2-SP holds; a new head has no start worth keeping."""
    blocks = job.blocks if job.goes_on else job.blocks[:-1]
    return [kernel for kernels in trainable_kernels(trainer, blocks).values() for kernel in kernels]
