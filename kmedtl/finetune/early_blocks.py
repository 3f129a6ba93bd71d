"""Which blocks of a backbone are early: they see edges, texture and light, of which scanners differ."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import KerasTensor

from kmedtl.backbones.blocks import HEAD, Block, end_tensors, pyramid
from kmedtl.errors import UserError

EARLY = (4, 8)  # strides of the maps that the first two stages of a ResNet end in


def early_maps(model: keras.Model, blocks: Sequence[Block]) -> list[KerasTensor]:
    """Return the last map of a quarter and of an eighth of the image's side, as far as coarser ones follow.

    Raises:
        UserError: the backbone has none.
    """
    found = pyramid(model, [block for block in blocks if block.name != HEAD])
    maps = [found[stride] for stride in EARLY if stride in found and stride < max(found)]
    if not maps:
        raise UserError(
            "stages: style=mixstyle and batch_norm=adapt_early: expected a backbone with a feature map of a quarter or "
            f"an eighth of the image's side and a coarser one behind it. Received: one with {_told(found)}."
        )
    return maps


def early_blocks(model: keras.Model, blocks: Sequence[Block]) -> Sequence[Block]:
    """Return the blocks up to the last of `early_maps`.

    Raises:
        UserError: the backbone has none.
    """
    last = early_maps(model, blocks)[-1]
    number = next(
        number for number, block in enumerate(blocks) if any(end is last for end in end_tensors(model, block))
    )
    return blocks[: number + 1]


def _told(found: dict[int, KerasTensor]) -> str:
    return ", ".join(f"1/{stride}" for stride in sorted(found)) or "none"
