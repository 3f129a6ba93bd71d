"""The methods of explanation, by the name that `evaluation.explain` gives them."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from kmedtl.edge import occlusion as covering
from kmedtl.explain.gradients import Which, grad_cam, grad_cam_plus_plus, smooth_grad

Method = Callable[[keras.Model, np.ndarray, Which], np.ndarray]  # model, images, what to explain → maps


def occlusion(model: keras.Model, images: np.ndarray, which: Which) -> np.ndarray:
    """Return how far an output falls where a place is covered; see `kmedtl.edge.occlusion`."""
    name, column = which
    return covering.occlusion(lambda batch: model.predict_on_batch(batch.astype(np.float32))[name][:, column], images)


METHODS: dict[str, Method] = {
    "grad_cam": grad_cam,
    "grad_cam_plus_plus": grad_cam_plus_plus,
    "smooth_grad": smooth_grad,
    "occlusion": occlusion,
}
