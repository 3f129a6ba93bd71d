import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.cli import main
from kmedtl.data import sources, store
from kmedtl.data.beam_store import prepare_with_beam
from kmedtl.images.read_image import read_image
from kmedtl.images.reading import Reading, Window
from kmedtl.recipe import Data

READING = Reading(40, 1)


@pytest.fixture
def manifest(image_folder):
    return sources.load(Data(str(image_folder), patient_pattern=r"/([A-Z]+-p\d+)"), seed=0)


def pixels_by_id(images):
    readable = images.facts[images.facts["record"] >= 0].sort_values("record")
    return dict(zip(readable["id"], images.images().as_numpy_iterator(), strict=True))


def test_the_store_holds_what_read_image_returns(manifest):
    pixels = pixels_by_id(store.prepare(manifest.table, READING))
    assert set(pixels) == set(manifest.table["id"])
    for name, path in zip(manifest.table["id"], manifest.table["path"], strict=True):
        assert np.array_equal(pixels[name], read_image(path, READING).pixels)


def test_a_second_run_decodes_nothing(manifest):
    first = Path(store.prepare(manifest.table, READING).builder.data_path)
    stamps = {file: file.stat().st_mtime_ns for file in first.iterdir()}
    again = Path(store.prepare(manifest.table, READING).builder.data_path)
    assert {file: file.stat().st_mtime_ns for file in again.iterdir()} == stamps


@pytest.mark.parametrize("other", [Reading(48, 1), Reading(40, 3), Reading(40, 1, Window(center=40, width=80))])
def test_other_settings_are_another_store(manifest, other):
    first = store.prepare(manifest.table, READING)
    assert store.prepare(manifest.table, other).builder.data_path != first.builder.data_path


def test_only_what_changed_is_decoded_again(manifest, monkeypatch):
    store.prepare(manifest.table, READING)
    changed, broken, added = (Path(manifest.table["path"][row]) for row in (0, 5, 9))
    Image.fromarray(np.full((30, 30), 77, np.uint8)).save(changed)
    broken.write_bytes(b"")
    new = added.with_name("NORMAL-p9-0.png")
    new.write_bytes(added.read_bytes())
    rows = manifest.table.iloc[[9]].assign(id="NORMAL/NORMAL-p9-0.png", path=str(new))
    table = pd.concat([manifest.table.drop(index=3), rows], ignore_index=True)

    decoded = []
    decode_all = store.decode_all
    monkeypatch.setattr(store, "decode_all", lambda files, reading: decoded.extend(files) or decode_all(files, reading))
    images = store.prepare(table, READING)
    assert {path for path, _ in decoded} == {str(changed), str(broken), str(new)}
    pixels = pixels_by_id(images)
    assert set(pixels) == set(table["id"]) - {manifest.table["id"][5]}
    for name, path in zip(table["id"], table["path"], strict=True):
        if name in pixels:
            assert np.array_equal(pixels[name], read_image(path, READING).pixels)
    assert (pixels[manifest.table["id"][0]] == 77).all()


def test_a_killed_run_leaves_nothing_that_a_later_one_trusts(manifest, monkeypatch):
    def break_off(files, reading):
        yield from list(store_decode_all(files, reading))[:7]
        raise KeyboardInterrupt

    store_decode_all = store.decode_all
    monkeypatch.setattr(store, "decode_all", break_off)
    with pytest.raises(KeyboardInterrupt):
        store.prepare(manifest.table, READING)
    monkeypatch.undo()
    assert store.prepare(manifest.table, READING).count == 24


@pytest.mark.slow
def test_beam_makes_the_same_shards(manifest):
    pytest.importorskip("apache_beam", reason="the extra 'beam' is not installed")
    Path(manifest.table["path"][4]).write_bytes(b"")
    plain = store.prepare(manifest.table, READING)
    expected, facts = pixels_by_id(plain), plain.facts

    shutil.rmtree(Path(plain.builder.data_dir).parents[1])
    beam = prepare_with_beam(manifest.table, READING, ["--runner=DirectRunner"])
    assert beam.builder.data_dir == plain.builder.data_dir
    pd.testing.assert_frame_equal(beam.facts, facts)
    found = pixels_by_id(beam)
    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def _cut(folder):
    shard = next(folder.rglob("*.tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:-100])


def _flip(folder):
    shard = next(folder.rglob("*.tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(content)


def _empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def _a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("")


DAMAGES = {
    "a cut shard": _cut,
    "a changed shard": _flip,
    "no shard": lambda folder: next(folder.rglob("*.tfrecord*")).unlink(),
    "garbled facts": lambda folder: (folder / "facts.csv").write_bytes(b"\x00\xff,no,table\n1"),
    "cut facts": lambda folder: (folder / "facts.csv").write_text("id,frame"),
    "no facts": lambda folder: (folder / "facts.csv").unlink(),
    "no settings": lambda folder: (folder / "settings.json").unlink(),
    "other settings": lambda folder: (folder / "settings.json").write_text("[1, 2"),
    "no contents": lambda folder: (folder / "contents.json").unlink(),
    "other contents": lambda folder: (folder / "contents.json").write_text('{"sizes": 5}'),
    "an empty folder": _empty,
    "a file": _a_file,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("own", [True, False])
def test_a_damaged_store_stops_no_run(damage, own, manifest, monkeypatch, tmp_path, capsys):
    """Neither one that reads the same images, nor one that might copy some of them."""
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))
    first = Path(store.prepare(manifest.table, READING).builder.data_path).parents[1]
    capsys.readouterr()
    DAMAGES[damage](first)
    table = manifest.table if own else manifest.table.iloc[:-2]
    again = store.prepare(table, READING)
    assert set(pixels_by_id(again)) == set(table["id"])
    said = [line for line in capsys.readouterr().err.splitlines() if "set aside" in line]
    unseen = not own and damage in ("no settings", "an empty folder", "a file")  # which no other run looks into
    assert len(said) == (0 if unseen else 1)
    assert (first.with_name(f"{first.name}.damaged").exists()) != unseen
    assert main(["store", "list"]) == 0
    assert ("set aside" in capsys.readouterr().out) != unseen
    assert store.prepare(table, READING).count == len(table)
    assert "set aside" not in capsys.readouterr().err
    assert main(["store", "clear"]) == 0
    assert list((tmp_path / "cache" / "stores").iterdir()) == []


def test_half_a_phantom_is_rendered_again(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))
    rows = sources.load(Data("phantom:6"), seed=0).table
    for path in rows["path"][:3]:
        Path(path).unlink()
    again = sources.load(Data("phantom:6"), seed=0).table
    assert all(Path(path).is_file() for path in again["path"])
    assert "set aside" in capsys.readouterr().err
