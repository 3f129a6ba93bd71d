"""The store: each image decoded once to model size, in TFRecord shards that TFDS writes and reads.

A store holds pixels only and is keyed by the files' content stamps, the reader's version and the size. Labels, patients
and splits stay in the manifest, so changing them never decodes anything again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
import tensorflow_datasets as tfds

from kmedtl.cache import cache_folder, made_once
from kmedtl.data.decode import decode_all
from kmedtl.data.quiet_tfds import quiet_tfds
from kmedtl.data.read_image import READER_VERSION


@dataclass(frozen=True)
class Store:
    """Decoded images in a fixed order.

    Attributes:
        builder: the TFDS builder whose one split holds the images that could be read.
        facts: one row a file, in the store's order: `id`, `record` (position among the decoded images, −1 where
            unreadable), `width`, `height`, `mode`, `sha256` of the file, `error` ("" where readable).
    """

    builder: tfds.core.DatasetBuilder
    facts: pd.DataFrame

    @property
    def count(self) -> int:
        return int((self.facts["record"] >= 0).sum())

    def images(self) -> tf.data.Dataset:
        """Return every image as uint8 (size, size, channels), in the order of `record`."""
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False, assert_cardinality=False)
        dataset = self.builder.as_dataset(split="images", shuffle_files=False, read_config=config)
        return dataset.map(lambda example: example["image"], num_parallel_calls=1)


class DecodedImages(tfds.core.GeneratorBasedBuilder):
    """Images of one manifest at one size, as raw uint8 tensors in a shuffled but fixed order."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, files: list[str], size: int, channels: int, outcomes: list[dict], **kwargs: Any) -> None:
        self._files, self._size, self._channels, self._outcomes = files, size, channels, outcomes
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        shape = (self._size, self._size, self._channels)
        image = tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")
        features = tfds.features.FeaturesDict({"image": image})
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        return {"images": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict]]:
        record = 0
        for outcome, pixels in decode_all(self._files, self._size, self._channels):
            self._outcomes.append(outcome | {"record": record if pixels is not None else -1})
            if pixels is not None:
                yield record, {"image": pixels}
                record += 1
        if record == 0:
            # TFDS refuses an empty split with an assertion; the audit refuses it with the reasons.
            yield 0, {"image": np.zeros((self._size, self._size, self._channels), np.uint8)}


def prepare(table: pd.DataFrame, size: int, channels: int) -> Store:
    """Return the store of a manifest's files, decoding them (in parallel, with progress) where it is not cached.

    Raises:
        UserError: the cache folder cannot be written.
    """
    order = sorted(range(len(table)), key=lambda row: hashlib.sha256(table["id"].iloc[row].encode()).digest())
    shuffled = table.iloc[order]

    def builder(folder: Path, outcomes: list[dict]) -> DecodedImages:
        files = list(shuffled["path"])
        return DecodedImages(files=files, size=size, channels=channels, outcomes=outcomes, data_dir=folder)

    def decode_into(folder: Path) -> None:
        outcomes: list[dict] = []
        with quiet_tfds():
            builder(folder, outcomes).download_and_prepare(file_format="tfrecord")
        pd.DataFrame(outcomes).assign(id=list(shuffled["id"])).to_csv(folder / "facts.csv", index=False)

    folder = made_once(cache_folder() / "stores" / _key(shuffled, size, channels), decode_into)
    facts = pd.read_csv(folder / "facts.csv", keep_default_na=False, dtype={"id": str})
    return Store(builder(folder, []), facts)


def _key(table: pd.DataFrame, size: int, channels: int) -> str:
    """Hash everything that the decoded pixels depend on."""
    files = [[name, path, *_stamp(Path(path))] for name, path in zip(table["id"], table["path"], strict=True)]
    settings = {"reader": READER_VERSION, "size": size, "channels": channels, "files": files}
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file does, its permissions included; a file that is not there has a stamp too."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1, -1
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
