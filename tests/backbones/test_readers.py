"""Files of tensors: what is no tensor, cut short, or larger than it says is refused in one line and runs nothing."""

from __future__ import annotations

import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from kmedtl.backbones.readers.state_dict import read_tensors
from kmedtl.errors import UserError
from tests.backbones import foreign_files as foreign


def parameters(state):
    return OrderedDict((name, foreign.Parameter(tensor)) for name, tensor in state.items())


TENSORS = {"a.weight": np.arange(6, dtype="f4").reshape(2, 3), "a.half": np.ones(4, "f2"), "a.count": np.array(3)}


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (foreign.write_safetensors, "w.safetensors"),
        (foreign.write_torch, "w.pt"),
        (foreign.write_legacy_torch, "w.pth"),
        (lambda path, tensors: foreign.write_torch(path, tensors, lambda state: {"model": state}), "nested.pt"),
        (lambda path, tensors: foreign.write_torch(path, tensors, parameters), "parameters.pt"),
    ],
)
def test_tensors_come_back_as_they_were(write, name, tmp_path):
    read = read_tensors(write(tmp_path / name, TENSORS))
    assert read.keys() == TENSORS.keys()
    for key, tensor in TENSORS.items():
        np.testing.assert_array_equal(read[key], tensor)
        assert read[key].dtype == tensor.dtype


def test_the_strides_of_a_tensor_are_kept(tmp_path):
    storage = foreign.Storage("0", np.arange(6, dtype="f4"))
    content = foreign.pickled(OrderedDict(a=foreign.Tensor(storage, (3, 2), (1, 3))))
    path = write_archive(tmp_path / "w.pt", content, {"0": storage.array.tobytes()})
    np.testing.assert_array_equal(read_tensors(path)["a"], np.arange(6).reshape(2, 3).T)


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    path = tmp_path / "w.safetensors"
    header = b'{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<HH", 0x3F80, 0xC000))
    np.testing.assert_array_equal(read_tensors(path)["x"], np.array([1, -2], "f4"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"cos\nsystem\n(S'touch traces'\ntR.", "tensors only. Received: os.system"),
        (b"cbuiltins\neval\n(S'1'\ntR.", r"builtins\.eval"),
        (b"\x80\x02ccollections\nOrderedDict\n)Rr\xff\xff\xff\x7f.", "expected a place below"),
        (b"\x80\x02}X\x01\x00\x00\x00aK\x01s.", "'a', no tensor"),
        (b"\x80\x02]q\x00.", "expected a state dict"),
        (b"\x80\x02(ccollections\nOrderedDict\ntQ.", "references to storages"),
        (b"\x80\x02", "no weights that can be read"),
        (b"", "no weights that can be read"),
    ],
)
def test_a_pickle_of_anything_else_is_refused(content, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused_pickle(tmp_path, content, words)
    (tmp_path / "legacy.pth").write_bytes(content)
    with pytest.raises(UserError) as refusal:
        read_tensors(tmp_path / "legacy.pth")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "traces").exists()


@pytest.mark.parametrize(
    ("shape", "strides", "words"),
    [
        ((10**9,), (0,), "expected a tensor of 1 to 6 values"),
        ((2, 3), (3, 2), "within its storage"),
        ((2, 3), (3,), "whole numbers"),
        ((-2,), (1,), "whole numbers"),
        (("2",), (1,), "whole numbers"),
    ],
)
def test_a_tensor_that_its_storage_does_not_hold_is_refused(shape, strides, words, tmp_path):
    storage = foreign.Storage("0", np.zeros(6, "f4"))
    content = foreign.pickled(OrderedDict(a=foreign.Tensor(storage, shape, strides)))
    assert_refused_pickle(tmp_path, content, words, {"0": bytes(24)})


@pytest.mark.parametrize(
    ("size", "stored", "words"),
    [
        (10**9, b"", "more bytes than the file"),
        (6, bytes(23), "no weights that can be read"),
        (6, bytes(25), "of at most 24 bytes"),
        (6, None, "no item named"),
    ],
)
def test_a_storage_that_the_archive_does_not_hold_is_refused(size, stored, words, tmp_path):
    storage = foreign.Storage("0", np.broadcast_to(np.float32(0), size))
    content = foreign.pickled(OrderedDict(a=foreign.Tensor(storage, (1,), (1,))))
    assert_refused_pickle(tmp_path, content, words, {} if stored is None else {"0": stored})


def test_packed_archives_and_two_of_them_in_one_are_refused(tmp_path):
    path = foreign.write_torch(tmp_path / "w.pt", TENSORS, compression=zipfile.ZIP_DEFLATED)
    assert_refused(path, "stored as it is")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"")
        archive.writestr("b/data.pkl", b"")
    assert_refused(path, r"expected one data\.pkl. Received: 2")


@pytest.mark.parametrize("write", [foreign.write_safetensors, foreign.write_torch, foreign.write_legacy_torch])
def test_files_that_are_cut_short_are_refused(write, tmp_path):
    path = tmp_path / ("w.safetensors" if write is foreign.write_safetensors else "w.pt")
    content = write(path, TENSORS).read_bytes()
    for part in np.linspace(0, len(content) - 1, 25, dtype=int):
        path.write_bytes(content[:part])
        assert_refused(path, "no weights that can be read")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "as many bytes as the shape"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, "a shape and two offsets"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}, "at byte 0"),
        ({"dtype": "F8_E5M2", "shape": [1], "data_offsets": [0, 1]}, "of another type"),
        ({"dtype": "F32", "shape": [10**12] * 3, "data_offsets": [0, 4]}, "offsets|bytes"),
        ([], "of another type"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(header, words, tmp_path):
    assert_refused(foreign.write_safetensors(tmp_path / "w.safetensors", {}, x=header), words)


def test_headers_that_are_too_large_or_too_deep_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    assert_refused(path, "expected a header of at most")
    deep = b"[" * 100_000
    path.write_bytes(struct.pack("<Q", len(deep)) + deep)
    assert_refused(path, "no weights that can be read")


def write_archive(path, content, storages):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for key, stored in storages.items():
            archive.writestr(f"archive/data/{key}", stored)
    return path


def assert_refused_pickle(folder, content, words, storages=None):
    assert_refused(write_archive(folder / "w.pt", content, storages or {}), words)


def assert_refused(path, words):
    with pytest.raises(UserError, match=words) as refusal:
        read_tensors(path)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)
