"""Schedules that are known to work, as stages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

from kmedtl.backbones.blocks import HEAD, Block
from kmedtl.recipe import Stage

AUTO = "auto"
VIEWS = 6  # of an image, in each stage of `auto`: one an epoch, so that a few images vary enough


def stages_of(schedule: str, images: int, batch_size: int, blocks: Sequence[Block]) -> tuple[Stage, ...]:
    """Return the stages of a preset; of `auto` all that may follow each other, as `finetune.deepening` decides.

    Args:
        schedule: a name of `PRESETS`.
        images: of the training split.
        batch_size: images a step.
        blocks: of the model, from input to output.
    """
    return PRESETS[schedule](images, batch_size, blocks)


def _auto(images: int, batch_size: int, blocks: Sequence[Block]) -> tuple[Stage, ...]:
    """Go deeper, each stage twice as deep as the one before it and the lower blocks slower.

    A probed head first keeps the pretrained features from being bent by a random one (Kumar et al., Fine-Tuning can
    Distort Pretrained Features, 2022).
    """
    backbone = len(blocks) - 1
    depths = list(itertools.takewhile(lambda depth: depth < backbone, (2**n for n in itertools.count(1))))
    deeper = [_gentle(f"last {depth}", f"last:{depth}") for depth in depths]
    return (Stage("head", HEAD, VIEWS, 3e-3, views=VIEWS), *deeper, _gentle("all", "all"))


def _gentle(name: str, train: str) -> Stage:
    """Return a stage that begins slowly and is judged by the average of its weights, so that no first step shows."""
    return Stage(name, train, VIEWS, 3e-4, layer_decay=0.85, warmup=0.2, clip_norm=1.0, ema=0.98, views=VIEWS)


def _linear_probe(images: int, batch_size: int, blocks: Sequence[Block]) -> tuple[Stage, ...]:
    return (Stage("head", HEAD, 10, 3e-3),)


def _lp_ft(images: int, batch_size: int, blocks: Sequence[Block]) -> tuple[Stage, ...]:
    """Probe, then fine-tune (Kumar et al. 2022): the upper blocks only, which is most of the gain and of the speed."""
    depth = min(3, len(blocks) - 1)
    return (
        Stage("head", HEAD, 6, 3e-3),
        Stage("last blocks", f"last:{min(2, depth)}", 3, 3e-4),
        Stage("deeper", f"last:{depth}", 2, 1e-4),
    )


def _gradual(images: int, batch_size: int, blocks: Sequence[Block]) -> tuple[Stage, ...]:
    """Thaw block by block, the lower the slower (Howard & Ruder, ULMFiT, 2018, sections 3.2 and 3.3)."""
    depth = min(4, len(blocks) - 1)
    deeper = [Stage(f"last {n}", f"last:{n}", 2, 3e-4, layer_decay=1 / 2.6) for n in range(1, depth + 1)]
    return (Stage("head", HEAD, 5, 3e-3), *deeper)


def _full(images: int, batch_size: int, blocks: Sequence[Block]) -> tuple[Stage, ...]:
    return (Stage("head", HEAD, 3, 3e-3), Stage("all", "all", 8, 1e-4, layer_decay=0.8))


def _surgical_first(images: int, batch_size: int, blocks: Sequence[Block]) -> tuple[Stage, ...]:
    """Train the first block, for images that differ in their pixels rather than in their content (Lee et al. 2023)."""
    return (Stage("head", HEAD, 6, 3e-3), Stage("first block", f"{blocks[0].name},{HEAD}", 3, 1e-4))


def _bit_hyperrule(images: int, batch_size: int, blocks: Sequence[Block]) -> tuple[Stage, ...]:
    """BiT's rule (Kolesnikov et al. 2020, section 3.3): steps by the data's size, SGD, MixUp from 20,000 images on.

    The rate is scaled to the batch size, and falls along a cosine instead of in steps.
    """
    steps = 500 if images < 20_000 else 10_000 if images < 500_000 else 20_000
    epochs = max(1, math.ceil(steps * batch_size / images))
    mix: Literal["mixup", "none"] = "mixup" if images >= 20_000 else "none"
    rate = 0.003 * batch_size / 512
    return (Stage("all", "all", epochs, rate, optimizer="sgd", weight_decay=0.0, views=0, mix=mix),)


PRESETS: dict[str, Callable[[int, int, Sequence[Block]], tuple[Stage, ...]]] = {
    AUTO: _auto,
    "linear_probe": _linear_probe,
    "lp_ft": _lp_ft,
    "gradual": _gradual,
    "full": _full,
    "surgical_first": _surgical_first,
    "bit_hyperrule": _bit_hyperrule,
}
