"""The synthetic thorax as a TensorFlow Datasets builder: rendered once, then read like any other data set.

builder = PhantomThorax(config=PhantomConfig(patients=600, seed=0), data_dir=folder)
builder.download_and_prepare()  # renders; nothing is downloaded
builder.as_dataset(split="films")
"""

from __future__ import annotations

import io
import logging
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from kmedtl.data.phantom.film import LABELS, Film, films_of
from kmedtl.system.cores import usable_cores
from kmedtl.system.progress import progress

DESCRIPTION = """SYNTHETIC chest radiographs: Beer–Lambert projections of random anatomy with or without
consolidations. No patient was involved, and a result on these images says nothing about patients."""


@dataclass(eq=False, kw_only=True)
class PhantomConfig(tfds.core.BuilderConfig):
    """Which synthetic people to render; the name, and so the folder, follows from the other fields."""

    name: str = ""
    patients: int = 600
    seed: int = 0
    size: int = 256  # pixels along each edge, 32 or more

    def __post_init__(self) -> None:
        self.name = self.name or f"patients{self.patients}_seed{self.seed}_size{self.size}"


class PhantomThorax(tfds.core.GeneratorBasedBuilder):
    """Synthetic chest films with label, patient, masks of lesion and lung, and what else is known about each."""

    VERSION = tfds.core.Version("1.1.0")

    def __init__(self, *, config: PhantomConfig, data_dir: str | os.PathLike, **options: Any) -> None:
        with without_warnings():
            super().__init__(config=config, data_dir=data_dir, **options)

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.size
        pixels = {"shape": (size, size, 1), "dtype": np.uint8, "encoding_format": "png"}
        return tfds.core.DatasetInfo(
            builder=self,
            description=DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(**pixels, doc="bright is dense"),
                    "mask": tfds.features.Image(**pixels, doc="255 where the lung is consolidated"),
                    "lung": tfds.features.Image(**pixels, doc="255 where lung is crossed, consolidated or not"),
                    "label": tfds.features.ClassLabel(names=LABELS),
                    "id": tfds.features.Text(doc="PATIENT-FILM"),
                    "patient": tfds.features.Text(),
                    "side": tfds.features.Text(doc="of the lesion: none, left, right or both"),
                    "pattern": tfds.features.Text(doc="none, lobar or patchy"),
                    "scanner": tfds.features.Text(doc="A or B"),
                    "sex": tfds.features.Text(doc="F or M"),
                    "age": tfds.features.Scalar(np.int32, doc="years"),
                    "area": tfds.features.Scalar(np.float32, doc="lesion as a fraction of the lung area"),
                }
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return {"films": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict]]:
        for number, film in enumerate(render_in_threads(self.builder_config)):
            yield number, example(film)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep TFDS from warning that a config is not listed in the class: ours never are, they carry numbers."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def render_in_threads(config: PhantomConfig) -> Iterator[Film]:
    """Yield the films in order; a few patients ahead are rendered meanwhile, so memory stays flat."""
    threads = usable_cores()
    numbers = progress(range(config.patients), "Rendering phantoms", unit="patient")
    ahead: deque[Future[list[Film]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for number in numbers:
            ahead.append(pool.submit(films_of, number, config.seed, config.size))
            if len(ahead) > 2 * threads:
                yield from ahead.popleft().result()
        for patient in ahead:
            yield from patient.result()


def example(film: Film) -> dict:
    """Return the film as the builder's features, images encoded: TFDS stores the bytes as they are."""
    return {
        "image": io.BytesIO(png(film.image)),
        "mask": io.BytesIO(png(film.mask)),
        "lung": io.BytesIO(png(film.lung)),
        "label": film.label,
        "id": film.id,
        "patient": film.patient,
        "side": film.side,
        "pattern": film.pattern,
        "scanner": film.scanner,
        "sex": film.sex,
        "age": film.age,
        "area": film.area,
    }


def png(pixels: np.ndarray) -> bytes:
    """Encode a grayscale image."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png", compress_level=1)
    return out.getvalue()
