"""Trains a stage on one and on two virtual processors and prints how far the weights are apart; run by a test."""

import json
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
tf.config.experimental.enable_op_determinism()

from kmedtl.backbones.blocks import block_map  # noqa: E402 (after the processors are set)
from kmedtl.data import splits  # noqa: E402
from kmedtl.data.pipeline import pipelines  # noqa: E402
from kmedtl.edge.tasks.classification.decoder import LOGITS  # noqa: E402
from kmedtl.finetune.distribution import devices  # noqa: E402
from kmedtl.finetune.stages import fine_tune  # noqa: E402
from kmedtl.recipe import Backbone, Head, Stage, Training  # noqa: E402
from kmedtl.recipes.pneumonia import RECIPE  # noqa: E402
from kmedtl.runs.prepare import prepare  # noqa: E402
from tests.models import (  # noqa: E402
    build_classifier,
    job_of,
    labels_of,
)

# Without dropout: each processor would draw its own.
STAGES = [Stage("cached", "last:1", 1, 1e-2, optimizer="sgd"), Stage("whole", "head", 1, 1e-2, views=0)]
found = prepare(replace(RECIPE.data, source="phantom:40", size=32), 7)
table = splits.split(found.manifest, found.table, 0.2, 0.2, seed=0)
data = pipelines(found.store, table, 16, labels_of(found.manifest))
data["train"] = replace(
    data["train"], table=data["train"].table[:32], targets={LOGITS: data["train"].targets[LOGITS][:32]}
)
weights, used = [], []
for strategy in ("cpu", "mirrored"):
    with devices(Training(strategy=strategy)):
        used.append(tf.distribute.get_strategy().num_replicas_in_sync)
        keras.utils.set_random_seed(3)
        model = build_classifier(Backbone("Tiny", "random"), Head(dropout=0.0), 32, 1, 1)
        before = model.get_weights()
        blocks = block_map(model, "Tiny")
        fine_tune(job_of(model, blocks, data, "none", Training(), 1), STAGES)
        weights.append(model.get_weights())
moved = max(float(np.abs(a - b).max()) for a, b in zip(weights[0], before, strict=True))
apart = max(float(np.abs(a - b).max()) for a, b in zip(*weights, strict=True))
print(json.dumps({"used": used, "moved": moved, "apart": apart}))
