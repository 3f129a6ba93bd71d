"""The same store, decoded by Apache Beam on as many machines as its runner has (the extra `beam`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow_datasets as tfds

from kmedtl.data.quiet_tfds import quiet_tfds
from kmedtl.data.store import DecodedImages, File, Store, files_of, folder_of, open_store, write_facts
from kmedtl.errors import UserError
from kmedtl.files.cache import made_once
from kmedtl.images.decode import Decoded, Facts, decode_all
from kmedtl.images.reading import Reading

CHUNK = 256  # files that one worker decodes at a time


def prepare_with_beam(table: pd.DataFrame, reading: Reading, options: Sequence[str]) -> Store:
    """Return the store of a manifest's files, made by Beam where it is not cached; a run then finds it like any other.

    Args:
        options: Beam's own, such as `--runner=DirectRunner`. All workers must see the files and the cache folder.

    Raises:
        UserError: Beam is not installed, or the cache folder cannot be written.
    """
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise UserError("Apache Beam is not installed; pip install 'kmedtl[beam]'.") from None
    files = files_of(table)

    def decode_into(folder: Path) -> None:
        examples = _examples(files, reading, folder / "outcomes")
        config = tfds.download.DownloadConfig(beam_options=PipelineOptions(list(options)))
        builder = DecodedImages(reading=reading, examples=examples, data_dir=folder)
        try:
            with quiet_tfds():
                builder.download_and_prepare(file_format="tfrecord", download_config=config)
        except ValueError:
            found = _outcomes(folder)
            if not all(facts["error"] for facts in found.values()):
                raise
            raise UserError(f"none of {len(files)} files can be read; first: {found[0]['error']}.") from None
        found = _outcomes(folder)
        write_facts(folder, files, [Facts(**found[number]) for number in range(len(files))], reading)
        for part in folder.glob("outcomes*"):
            part.unlink()

    return open_store(made_once(folder_of(files, reading), decode_into))


def _outcomes(folder: Path) -> dict[int, dict]:
    """Return the facts of each file by its number."""
    return dict(json.loads(line) for part in folder.glob("outcomes*") for line in part.read_text("utf-8").splitlines())


def _examples(files: Sequence[File], reading: Reading, outcomes: Path) -> Any:
    """Return the transform that decodes the files; what was found in them goes to text files beside the shards."""
    import apache_beam as beam

    numbered = [(number, file.to_decode) for number, file in enumerate(files)]
    chunks = [numbered[start : start + CHUNK] for start in range(0, len(numbered), CHUNK)]

    @beam.ptransform_fn
    def decode(pipeline: Any) -> Any:
        decoded = pipeline | beam.Create(chunks) | beam.Reshuffle() | beam.FlatMap(_decode, reading)
        _ = decoded | beam.Map(_line) | beam.io.WriteToText(str(outcomes))
        return decoded | beam.FlatMap(_example)

    return decode()


def _decode(chunk: Sequence[tuple[int, tuple[str, int | None]]], reading: Reading) -> Iterator[tuple[int, Decoded]]:
    answers = decode_all([file for _, file in chunk], reading)
    for (number, _), answer in zip(chunk, answers, strict=True):
        yield number, answer


def _line(decoded: tuple[int, Decoded]) -> str:
    number, (facts, _) = decoded
    return json.dumps([number, asdict(facts)])


def _example(decoded: tuple[int, Decoded]) -> Iterator[tuple[int, dict]]:
    number, (_, pixels) = decoded
    if pixels is not None:
        yield number, {"image": pixels}
