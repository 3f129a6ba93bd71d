"""NIfTI files to voxels (NIfTI-1 and -2, single files, gzipped or not). Needs nibabel.

nibabel reads the header; the voxels are read here, so that no file is unpacked beyond what its header may declare.
https://nifti.nimh.nih.gov/nifti-1 is the standard.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from kmedtl.errors import UserError
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import readable
from kmedtl.images.volume import (
    Stored,
    apart,
    check_affine,
    check_voxels,
    in_mm,
    orientation_of,
    refusal,
    spacing_of,
)

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

MAX_BYTES = 2**30  # of a file's voxels, unpacked
MAX_OFFSET = 2**24  # bytes before them: the header and its extensions
THICKER = 1.1  # times the next larger spacing, from which on a file counts as sliced along its largest
AWAY = 0.5  # of the smallest spacing, that sform and qform of one world may put a voxel apart
AGREEMENT = 0.01  # share that spacings of a header may differ
_GZIP = b"\x1f\x8b"
_NAMES = {348: (344, b"n+1\0", b"ni1\0"), 540: (4, b"n+2\0", b"ni2\0")}  # size of the header → where its magic is
_MILLIMETRES = {0: "unknown", 2: "mm"}  # of xyzt_units; files leave it empty


def read_nifti(path: Path) -> Stored:
    """Return the voxels of a NIfTI file as stored, scaled by scl_slope and scl_inter, float32.

    The affine is the sform's where there is one, else the qform's. Both may be given, for two worlds (scanner and
    atlas), but must lead the same ways, and of one world they must agree. A slope of 0 or NaN is none. A file counts as
    sliced along its axis of the largest spacing where that is clearly larger than the others, else axially.

    Raises:
        UnreadableImageError: no NIfTI; damaged; not three axes of numbers; no orientation, or two that contradict each
            other; spacings that are none; NaN or infinity; too large.
    """
    with readable(path), path.open("rb") as file, _unpacked(file) as content:
        header = _header(content)
        shape = _shape(header)
        dtype = _dtype(header)
        affine = _affine(header, shape)
        raw = _voxels(content, header, shape, dtype)
    values = _scaled(raw, header)
    _check_finite(values)
    return Stored(values, affine, _sliced(affine), "", "nifti", header.binaryblock)


def read_blank(path: Path) -> Stored:
    """Return what `read_nifti` does as far as the header says it: its voxels are 0, uint8, and take no room.

    Raises:
        UnreadableImageError: as of `read_nifti`, as far as the header tells.
    """
    with readable(path), path.open("rb") as file, _unpacked(file) as content:
        header = _header(content)
        shape = _shape(header)
        affine = _affine(header, shape)
    values = np.broadcast_to(np.uint8(0), shape)
    return Stored(values, affine, _sliced(affine), "", "nifti", header.binaryblock)


def load_nibabel() -> Any:
    """Return nibabel, which takes 0.4 s to import and most sets do without.

    Raises:
        UserError: it is not installed.
    """
    if find_spec("nibabel") is None:
        raise UserError("NIfTI: expected the package nibabel. Received: none. pip install nibabel")
    import nibabel

    return nibabel


@contextmanager
def _unpacked(file: BinaryIO) -> Iterator[BinaryIO]:
    """Yield a file's content, whatever its suffix says of gzip, and turn what unpacking raises into a reason."""
    is_packed = file.read(2) == _GZIP
    file.seek(0)
    try:
        yield gzip.GzipFile(fileobj=file) if is_packed else file  # type: ignore[misc]
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise _damaged("a whole gzip file", "one that is cut short or damaged") from None


def _header(content: BinaryIO) -> Nifti1Header:
    nib = load_nibabel()
    block = content.read(540)
    orders = {size: order for order in "<>" for size in struct.unpack(f"{order}i", block[:4].ljust(4, b"\0"))}
    size = next((size for size in _NAMES if size in orders), 0)
    if not size or len(block) < size:
        raise refusal("not a NIfTI file", "a header of 348 or 540 bytes", f"{len(block)} other bytes", _AGAIN)
    place, single, pair = _NAMES[size]
    magic = block[place : place + 4]
    if magic == pair:
        raise refusal("a pair of files", "one file, .nii or .nii.gz", ".hdr and .img", "Save it as .nii.gz")
    if magic != single:
        remedy = "Convert it from its source: Analyze does not say which side is left"
        raise refusal("not a NIfTI file", "the magic n+1 or n+2", "none, as of Analyze files", remedy)
    kind = nib.Nifti1Header if size == 348 else nib.Nifti2Header
    header = kind(block[:size], endianness=orders[size], check=False)
    if header["pixdim"][0] == 0:
        header["pixdim"][0] = 1  # as the standard says, of the qform's handedness
    return header


_AGAIN = "Convert it again from its source"


def _shape(header: Nifti1Header) -> tuple[int, int, int]:
    count = int(header["dim"][0])
    sides = [int(side) for side in header["dim"][1 : 1 + count]] if 1 <= count <= 7 else []
    if not sides or min(sides) < 1:
        raise refusal("the header's dimensions", "1 to 7, of 1 voxel or more each", f"{count}: {sides}", _AGAIN)
    told = " × ".join(str(side) for side in sides)
    if int(np.prod(sides[3:], dtype=object)) > 1:
        raise refusal("4-D", "one value at each voxel", told, "Save one time point, echo or direction by itself")
    if len(sides) < 3 or min(sides[:3]) < 2:
        raise refusal("2-D", "at least 2 voxels along each of three axes", told, "Save its slice as an image")
    check_voxels(tuple(sides[:3]))
    return sides[0], sides[1], sides[2]


def _dtype(header: Nifti1Header) -> np.dtype:
    from nibabel.spatialimages import HeaderDataError

    remedy = "Save it as int16 or float32"
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        raise refusal("its kind of number", "one of NIfTI's", "an unknown code", remedy) from None
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        kind = "colours" if dtype.names else f"{dtype.name}"
        raise refusal("its kind of number", "whole numbers or floats of up to 64 bits", kind, remedy)
    if int(header["bitpix"]) != 8 * dtype.itemsize:
        raise refusal("bitpix", f"{8 * dtype.itemsize}, of {dtype.name}", str(int(header["bitpix"])), _AGAIN)
    return dtype


def _affine(header: Nifti1Header, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the affine that the header states, by the rule of `read_nifti`."""
    unit = int(header["xyzt_units"]) & 7
    if unit not in _MILLIMETRES:
        raise refusal("the unit of lengths", "mm", {1: "m", 3: "µm"}.get(unit, "an unknown one"), "Save it in mm")
    zooms = tuple(float(one) for one in header["pixdim"][1:4])
    if not all(np.isfinite(zooms)) or min(zooms) <= 0:
        raise refusal("spacing (pixdim)", "more than 0 mm along each axis", in_mm(zooms), _AGAIN)
    sform, code = header.get_sform(coded=True)
    qform = _qform(header)
    affine = qform if sform is None else sform
    if affine is None:
        remedy = "Without one, left and right would be guessed; convert it from its source"
        raise refusal("orientation", "an sform or a qform", "neither (both codes are 0)", remedy)
    check_affine(affine)
    spacing = spacing_of(affine)
    if not np.allclose(spacing, zooms, rtol=AGREEMENT, atol=0):
        raise refusal("spacing", f"pixdim as its affine says, {in_mm(spacing)}", in_mm(zooms), _AGAIN)
    if qform is not None and sform is not None:
        remedy = "Keep the one that is right, and set the other's code to 0"
        if orientation_of(qform) != orientation_of(sform):
            both = f"{orientation_of(sform)} and {orientation_of(qform)}"
            raise refusal("orientation", "an sform and a qform that agree", both, remedy)
        away = apart(qform, sform, shape)
        if code == int(header["qform_code"]) and away > AWAY * min(spacing):
            received = f"one world of both, and voxels {away:.3g} mm apart in it"
            raise refusal("position", "an sform and a qform that agree", received, remedy)
    return np.asarray(affine, np.float64)


def _qform(header: Nifti1Header) -> np.ndarray | None:
    from nibabel.spatialimages import HeaderDataError

    try:
        return header.get_qform(coded=True)[0]
    except (ValueError, HeaderDataError):  # the quaternion is longer than 1, or pixdim[0] neither 1 nor −1
        raise refusal("the qform", "a rotation", "numbers that are none", _AGAIN) from None


def _voxels(
    content: BinaryIO, header: Nifti1Header, shape: tuple[int, int, int], dtype: np.dtype
) -> np.ndarray:  # fmt: skip
    """Return the stored numbers, (i, j, k); as many bytes are read as the header declares, and one slice more."""
    needed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if needed > MAX_BYTES:
        raise refusal("size", f"at most {MAX_BYTES} bytes", str(needed), "Save it as int16, or crop it")
    offset = float(header["vox_offset"])
    smallest = int(header["sizeof_hdr"]) + 4
    if not smallest <= offset <= MAX_OFFSET:
        raise refusal("vox_offset", f"{smallest} to {MAX_OFFSET} bytes", f"{offset:g}", _AGAIN)
    content.seek(int(offset))
    found = bytearray(needed)
    read = _fill(content, found)
    if read < needed:
        raise _damaged(f"{needed} bytes of voxels", str(read))
    if _fill(content, rest := bytearray(shape[0] * shape[1] * dtype.itemsize)) == len(rest):
        raise _damaged(f"{shape[2]} slices, as its header says", "more")
    return np.frombuffer(found, dtype).reshape(shape, order="F")


def _fill(content: BinaryIO, room: bytearray) -> int:
    """Read until `room` is full or the content ends; return how many bytes there were."""
    view, count = memoryview(room), 0
    while count < len(room) and (read := content.readinto(view[count:])):  # type: ignore[attr-defined]
        count += read
    return count


def _damaged(expected: str, received: str) -> UnreadableImageError:
    return refusal("a damaged NIfTI file", expected, received, "Copy or convert it again")


def _scaled(raw: np.ndarray, header: Nifti1Header) -> np.ndarray:
    slope, offset = float(header["scl_slope"]), float(header["scl_inter"])
    is_none = slope == 0 or np.isnan(slope)
    if not is_none and not (np.isfinite(slope) and np.isfinite(offset)):
        raise refusal("scl_slope and scl_inter", "finite numbers", f"{slope:g} and {offset:g}", _AGAIN)
    values = np.empty(raw.shape, np.float32, order="F")
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found, and refused, below
        for index in range(raw.shape[2]):  # float64 takes room: a slice at a time
            one = raw[..., index]
            values[..., index] = one if is_none else one.astype(np.float64) * slope + offset
    return values


def _check_finite(values: np.ndarray) -> None:
    count = values.size - int(np.isfinite(values).sum())
    if count:
        remedy = "Say what they stand for: np.nan_to_num, and save it again"
        raise refusal("values", "finite ones", f"NaN or infinity in {count} of {values.size} voxels", remedy)


def _sliced(affine: np.ndarray) -> int:
    spacing = spacing_of(affine)
    largest, second = sorted(spacing, reverse=True)[:2]
    return spacing.index(largest) if largest > THICKER * second else int(np.abs(affine[2, :3]).argmax())
