"""Outputs that a stage's own graph has beside those of the task; validation, the test and every file know none."""

from __future__ import annotations

from typing import Any

import keras

DOMAIN = "domain"  # logits of which domain an image is of (`kmedtl.finetune.adversarial`)
CONTRAST = "contrast"  # a projection that tells images apart (`kmedtl.finetune.projection`)


def answers(model: keras.Model) -> dict[str, Any]:
    """Return the outputs that the task asks for, by name."""
    return {name: output for name, output in model.output.items() if name not in (DOMAIN, CONTRAST)}
