"""Run folders as runs leave them, of models that are known: no network trains for what only votes."""

import numpy as np
import pandas as pd
import pytest

from kmedtl.config import override
from kmedtl.edge import model_info
from kmedtl.edge.tasks.classification.calibration import probabilities
from kmedtl.edge.tasks.classification.labels import columns
from kmedtl.files.json_files import write_json
from kmedtl.recipe import write
from kmedtl.recipes.pneumonia import RECIPE
from tests.models import decoder_of, info_of

CLASSES = {"binary": ("NORMAL", "ILL"), "multi_class": ("A", "B", "C"), "multi_label": ("Mass", "Edema")}


@pytest.fixture
def write_run(tmp_path):
    """Write a run folder: `skill` is how well it tells, `seed` its own noise; the images are always the same."""

    def written(name, kind="binary", skill=1.0, seed=0, training="t", images=120, classes=None, settings=()):
        folder = tmp_path / name
        folder.mkdir()
        classes = classes or CLASSES[kind]
        info = info_of(decoder_of(kind, classes), 64, 3, recipe="pneumonia", source="images")
        model_info.attach(info, folder)
        _predictions(info.decoder, skill, seed, images).to_csv(folder / "predictions.csv", index=False)
        fast = ["evaluation.resamples=100", "data.batch_size=8", *settings]
        write(override(RECIPE, fast), folder / "recipe.yaml")
        write_json(folder / "metrics.json", {"synthetic": False, "classes": classes, "kind": kind})
        people = {"train": [f"{training}{n}" for n in range(50)], "val": ["v0"], "test": ["s0"]}
        rows = [{"patient": patient, "split": split} for split, named in people.items() for patient in named]
        pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
        pd.DataFrame({"epoch": [1, 2], "seconds": [1.0, 1.0]}).to_csv(folder / "history.csv", index=False)
        return folder

    return written


def _predictions(decoder, skill, seed, images):
    truth, noise = np.random.default_rng(1), np.random.default_rng(100 + seed)
    parts = []
    for split in ("val", "test"):
        of_class = truth.integers(0, 2 if decoder.labels != "multi_class" else 3, (images, len(decoder.findings)))
        if decoder.labels == "multi_class":
            of_class = of_class[:, :1] == np.arange(3)
        logits = skill * (2 * of_class - 1) + noise.normal(size=of_class.shape)
        table = pd.DataFrame({"id": [f"{split}{n:03}" for n in range(images)], "split": split})
        table["patient"] = [f"{split[0] if split == 'val' else 's'}{n // 2}" for n in range(images)]
        if decoder.labels == "multi_label":
            table[columns("label", decoder.labels, decoder.findings)] = of_class
        else:
            names = np.array(decoder.classes)
            table["label"] = of_class[:, 0] if decoder.labels == "binary" else names[of_class.argmax(axis=1)]
        for what, values in (("logit", logits), ("probability", probabilities(logits, decoder.calibration))):
            table[columns(what, decoder.labels, decoder.findings)] = values
        parts.append(table)
    return pd.concat(parts).sample(frac=1, random_state=seed)
