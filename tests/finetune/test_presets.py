from itertools import pairwise

import pytest

from kmedtl.backbones.blocks import block_map, select
from kmedtl.finetune.presets import PRESETS, stages_of
from kmedtl.recipe import Backbone, Head
from tests.models import build_classifier


@pytest.fixture(scope="module", params=["EfficientNetLite0", "VGG16"])
def blocks(request):
    model = build_classifier(Backbone(request.param, "random"), Head(), 64, 3, 1)
    return block_map(model, request.param)


@pytest.mark.parametrize("schedule", PRESETS)
@pytest.mark.parametrize("images", [40, 1_000, 30_000])
def test_every_preset_names_blocks_that_are_there(blocks, schedule, images):
    stages = stages_of(schedule, images, 32, blocks)
    trained = [set(select(blocks, stage.train)) for stage in stages]
    assert all("head" in names for names in trained)
    assert len({stage.name for stage in stages}) == len(stages)


def test_auto_goes_twice_as_deep_each_time_and_at_last_through_everything(blocks):
    depths = [len(select(blocks, stage.train)) - 1 for stage in stages_of("auto", 1_000, 32, blocks)]
    backbone = len(blocks) - 1
    assert (depths[0], depths[-1]) == (0, backbone)
    assert all(deeper == min(2 * depth, backbone) for depth, deeper in pairwise(depths[1:]))


def test_bits_rule_counts_steps(blocks):
    (stage,) = stages_of("bit_hyperrule", 3_200, 32, blocks)
    assert stage.epochs == 5
    assert stage.lr == pytest.approx(0.003 / 16)
    assert stage.mix == "none"
    assert stages_of("bit_hyperrule", 30_000, 32, blocks)[0].mix == "mixup"
