"""What each stage will do, before it does it: what trains, where the model is cut, which stages share a pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras

from kmedtl.backbones.blocks import select
from kmedtl.data.pipeline import LEARNED, UNLABELLED, Variation
from kmedtl.errors import UserError
from kmedtl.finetune.adversarial import Domains, domains_of, with_classifier
from kmedtl.finetune.batch_norm import ADAPTED
from kmedtl.finetune.block_importance import is_adaptive
from kmedtl.finetune.frozen_prefix import ModelSplit, at_inputs, cut, size_of
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.mix_style import styled_places
from kmedtl.finetune.projection import with_projection
from kmedtl.recipe import Stage


@dataclass(frozen=True)
class Plan:
    """What a stage does.

    Attributes:
        trainable: the blocks that it trains.
        variation: how it varies images.
        cut: where it cuts the model; None: nowhere.
        model: the model that it trains, with what only this stage adds to it.
        places: the operations behind which it mixes the styles of maps (`kmedtl.finetune.mix_style`).
        domains: that it aligns (`kmedtl.finetune.adversarial`); None: none.
    """

    stage: Stage
    trainable: tuple[str, ...]
    variation: Variation
    cut: ModelSplit | None
    model: keras.Model
    places: tuple[str, ...] = ()
    domains: Domains | None = None

    @property
    def views(self) -> int:
        """How many varied views of an image are cached."""
        drawn = 1 if self.variation.is_none else min(self.stage.views, self.stage.epochs)
        return max(drawn, self.stage.fewest_views)


def plan_pass(job: TrainingJob, stages: Sequence[Stage]) -> list[Plan]:
    """Return the plans of the first stage and of those after it that share its pass through the frozen part.

    None may cut behind the one before it, all vary images alike, and what all of them keep must fit the budget. What
    images without labels teach is asked when a stage begins, so such a stage shares its pass with none.

    Args:
        stages: those to come; the first names its blocks, others may still be `adaptive`.
    """
    group = [_within_budget(job, plan(job, stages[0]))]
    for stage in stages[1:]:
        alone = not (stage.is_supervised and stages[0].is_supervised)
        if alone or is_adaptive(stage) or stage.batch_norm in ADAPTED or group[0].cut is None:
            break
        following = plan(job, stage)
        together = sum(_cache_size(job, one) for one in (*group, following))
        if not _can_follow(following, group[-1]) or together > job.training.cache_gigabytes * 1e9:
            break
        group.append(following)
    return group


def plan(job: TrainingJob, stage: Stage) -> Plan:
    """Return the plan of one stage, whatever the budget.

    Raises:
        UserError: a stage that names no block, wants early maps of a backbone without, or has fewer than two domains.
    """
    names = select(job.blocks, stage.train)
    variation = Variation.of(stage, job.preset)
    domains = domains_of(stage, job.domain, job.data["train"].table)
    model = with_projection(with_classifier(job.model, domains, job.seed), stage, job.seed)
    split = cut(model, job.blocks, names) if stage.views else None
    if split is None and (job.data["train"].pooling or not stage.is_supervised):
        split = at_inputs(model)  # the images themselves, which a step looks up by volume, or two views of each
    return Plan(stage, names, variation, split, model, styled_places(stage, job.model, job.blocks), domains)


def _within_budget(job: TrainingJob, plan: Plan) -> Plan:
    """Return the plan, without a cut where its activations would exceed the budget.

    Raises:
        UserError: they would, and images are slices, or have no labels.
    """
    size, budget = _cache_size(job, plan), job.training.cache_gigabytes
    if size <= budget * 1e9:
        return plan
    needed = f"its frozen part takes {size / 1e9:.1f} GB, more than training.cache_gigabytes={budget:g}"
    if job.data["train"].pooling or not plan.stage.is_supervised:
        cached = "volumes" if job.data["train"].pooling else "images without labels"
        remedy = "raise that, or lower views or data.size"
        raise UserError(f"stage {plan.stage.name}: {needed}; {cached} are trained from the cache alone: {remedy}.")
    job.log(f"Stage {plan.stage.name}: {needed}; it is computed anew in each epoch, which is slower.")
    return replace(plan, cut=None)


def _cache_size(job: TrainingJob, plan: Plan) -> int:
    """Return bytes; 0 where nothing is cached."""
    parts = job.data if plan.stage.is_supervised or not job.unlabelled else job.data | {UNLABELLED: job.unlabelled}
    images = sum(len(part.table) * (plan.views if name in LEARNED else 1) for name, part in parts.items())
    return 0 if plan.cut is None else size_of(plan.cut, images, job.training.cache_dtype)


def _can_follow(plan: Plan, last: Plan) -> bool:
    if plan.cut is None or last.cut is None:
        return False
    varied_alike = plan.variation == last.variation and plan.stage.class_weights == last.stage.class_weights
    return varied_alike and plan.views == last.views and plan.cut.depth <= last.cut.depth
