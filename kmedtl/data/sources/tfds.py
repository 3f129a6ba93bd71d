"""Data sets of the TensorFlow Datasets catalogue, or prepared by a TFDS builder of one's own: `tfds:NAME[/CONFIG]`."""

from __future__ import annotations

import hashlib
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from kmedtl.data.manifest import Manifest, check_classes
from kmedtl.data.sources import to_manifest
from kmedtl.data.sources.names import split_of
from kmedtl.errors import UserError, nearest
from kmedtl.files.cache import cache_folder, made_once, stamp
from kmedtl.recipe import Data
from kmedtl.system.progress import progress

PATIENTS = ("patient", "patient_id")  # features that say whose image it is, where a data set has one


def from_catalogue(data: Data) -> Manifest:
    """Write the data set's images as files into the cache, once, and list them with its own labels and splits.

    Raises:
        UserError: an unknown name, images that are neither prepared nor to be downloaded, or no image and label.
    """
    name = data.source.partition(":")[2].replace(":", "/")
    builder = _prepared(name)
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict) or not {"image", "label"} <= set(features):
        raise UserError(f"{data.source}: expected the features image and label. Received: {', '.join(features)}.")
    if not isinstance(features["label"], tfds.features.ClassLabel):
        raise UserError(f"{data.source}: expected class labels. Received: {features['label']}.")
    check_classes(data.classes if len(data.classes) > 1 else (), features["label"].names, data.source)
    folder = cache_folder() / "tfds" / f"{name.replace('/', '-')}-{_digest(builder)}"
    made_once(folder, lambda unfinished: _lay_out(builder, unfinished))
    found = [
        {
            "id": f"{split}/{number}",
            "path": str(folder / split / str(number)),
            "split": split_of(split) or "train" if len(builder.info.splits) > 1 else "",
            "label": features["label"].int2str(int(example["label"])),
            **_patient(example),
        }
        for split, number, example in _examples(builder)
    ]
    return to_manifest.finish(found, data, data.source, named=False)


def _prepared(name: str) -> tfds.core.DatasetBuilder:
    """Return a builder whose files are on disk: in TFDS_DATA_DIR or ~/tensorflow_datasets, else downloaded."""
    try:
        builder = tfds.builder(name)
        if not builder.is_prepared():
            _check_network(builder)  # TFDS itself tries for minutes
            builder.download_and_prepare()
    except tfds.core.DatasetNotFoundError:
        raise UserError(
            f"tfds:{name}: no such data set in the catalogue of TensorFlow Datasets, nor prepared in TFDS_DATA_DIR. "
            f"{nearest(name, tfds.list_builders())[:200]}"
        ) from None
    except (OSError, ValueError, tfds.download.DownloadError) as error:
        raise UserError(
            f"tfds:{name}: cannot be downloaded ({type(error).__name__}); prepare it where there is internet and point "
            "TFDS_DATA_DIR to the folder, or give its images in class folders with --data."
        ) from None
    return builder


def _digest(builder: tfds.core.DatasetBuilder) -> str:
    """Return what changes when the data set is prepared anew, or lies elsewhere, under the same version."""
    files = sorted(Path(builder.data_dir).iterdir())
    stamps = [f"{file}\0{stamp(file)}" for file in files]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:16]


def _check_network(builder: tfds.core.DatasetBuilder) -> None:
    """Raise OSError where the data set's own host has no address, unless a proxy knows better."""
    host = urllib.parse.urlparse(builder.info.homepage).hostname
    if host and not urllib.request.getproxies():
        socket.getaddrinfo(host, 443)


def _examples(builder: tfds.core.DatasetBuilder) -> Iterator[tuple[str, int, dict]]:
    """Yield the split, the number and the example, its image still encoded."""
    for split in sorted(builder.info.splits):
        dataset = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()}, shuffle_files=False)
        for number, example in enumerate(tfds.as_numpy(dataset)):
            yield split, number, example


def _lay_out(builder: tfds.core.DatasetBuilder, folder: Path) -> None:
    total = builder.info.splits.total_num_examples
    for split, number, example in progress(_examples(builder), "Writing images", total, unit="image"):
        path = folder / split / str(number)
        path.parent.mkdir(exist_ok=True)
        image = example["image"]
        if isinstance(image, bytes):
            path.write_bytes(image)
        else:  # a data set that stores raw arrays
            Image.fromarray(np.squeeze(image)).save(path, "PNG")


def _patient(example: dict) -> dict[str, str]:
    for name in PATIENTS:
        if name in example:
            value = example[name]
            return {"patient": value.decode() if isinstance(value, bytes) else str(value)}
    return {}
