"""Damaged image files, the same for the same seed: valid ones of every format, changed at random, and worse by hand."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

WIDTH, HEIGHT = 24, 16
HUGE = 9_999  # pixels a side: just below the reader's limit, so that it does try


def write_cases(folder: Path, count: int, seed: int = 0) -> list[str]:
    """Write `count` damaged files into `folder` and return their paths: the worst by hand first, then random ones."""
    paths = list(_by_hand(folder))
    valid = valid_files()
    names = sorted(valid)
    suffixes = sorted({Path(name).suffix for name in names})
    for number in range(count - len(paths)):
        random = np.random.default_rng([seed, number])
        name = names[number % len(names)]
        content = valid[name]
        for _ in range(random.integers(1, 3)):
            content = MUTATIONS[random.integers(len(MUTATIONS))](content, random)
        suffix = Path(name).suffix if random.random() < 0.9 else suffixes[random.integers(len(suffixes))]
        path = folder / f"{number}-{Path(name).stem}{suffix}"
        path.write_bytes(content)
        paths.append(path)
    return [str(path) for path in paths]


# Valid files


def _interlaced(gray: np.ndarray) -> bytes:
    """Return a PNG of seven passes (Adam7), which Pillow does not write."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    parts = [gray[y::down, x::across] for x, y, across, down in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", gray.shape[1], gray.shape[0], 8, 0, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def valid_files() -> dict[str, bytes]:
    """Return small images of every format, by a file name that tells which."""
    gray = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH) * 5).astype(np.uint8)
    deep = gray.astype(np.uint16) * 16
    colour = np.stack([gray, 255 - gray, gray // 2], -1)
    plain, photo = Image.fromarray(gray), Image.fromarray(colour)
    return {
        "gray.png": _saved(plain, "PNG"),
        "deep.png": _saved(Image.fromarray(deep), "PNG"),
        "palette.png": _saved(photo.quantize(16), "PNG"),
        "rgba.png": _saved(photo.convert("RGBA"), "PNG"),
        "gray.jpg": _saved(plain, "JPEG"),
        "photo.jpg": _saved(photo, "JPEG"),
        "progressive.jpg": _saved(photo, "JPEG", progressive=True),
        "gray.tif": _saved(plain, "TIFF"),
        "deep.tif": _saved(Image.fromarray(deep), "TIFF"),
        "float.tif": _saved(plain.convert("F"), "TIFF", compression="tiff_adobe_deflate"),
        "lzw.tif": _saved(photo, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": _saved(photo, "TIFF", compression="jpeg"),
        "photo.bmp": _saved(photo, "BMP"),
        "palette.bmp": _saved(photo.quantize(16), "BMP"),
        "photo.gif": _saved(photo, "GIF"),
        "photo.webp": _saved(photo, "WEBP"),
        "frames.webp": _saved(photo, "WEBP", save_all=True, append_images=[photo.rotate(90)], lossless=True),
        "photo.jp2": _saved(photo, "JPEG2000"),
        "deep.jp2": _saved(Image.fromarray(deep), "JPEG2000"),
        "gray.pgm": _saved(plain, "PPM"),
        "deep.pgm": _saved(Image.fromarray(deep), "PPM"),
        "photo.ppm": _saved(photo, "PPM"),
        "interlaced.png": _interlaced(gray),
        "frames.gif": _saved(photo, "GIF", save_all=True, append_images=[photo.rotate(90)]),
        "explicit.dcm": dicom(deep, ExplicitVRLittleEndian),
        "implicit.dcm": dicom(deep, ImplicitVRLittleEndian),
        "big.dcm": dicom(deep, ExplicitVRBigEndian),
        "deflated.dcm": dicom(deep, DeflatedExplicitVRLittleEndian),
        "colour.dcm": dicom(colour, ExplicitVRLittleEndian),
        "frames.dcm": dicom(deep, ExplicitVRLittleEndian, frames=3),
        "rle.dcm": dicom(deep, RLELossless),
        "jpeg.dcm": dicom(gray, JPEGBaseline8Bit, _saved(plain, "JPEG")),
        "photo.dcm": dicom(colour, JPEGBaseline8Bit, _saved(photo, "JPEG")),
        "jpeg12.dcm": dicom(deep, JPEGExtended12Bit, imagecodecs.jpeg8_encode(deep, 90, bitspersample=12)),
        "lossless.dcm": dicom(deep, JPEGLosslessSV1, imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=12)),
        "jpegls.dcm": dicom(deep, JPEGLSLossless, imagecodecs.jpegls_encode(deep)),
        "j2k.dcm": dicom(deep, JPEG2000Lossless, imagecodecs.jpeg2k_encode(deep, codecformat="J2K", reversible=True)),
    }


def dicom(pixels: np.ndarray, syntax: str, encoded: bytes = b"", frames: int = 1, **tags: int) -> bytes:
    """Return a DICOM file of uint8 or uint16 pixels, (H, W) or (H, W, 3), or of these `encoded` by a syntax."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, "1.2.3"
    data.PatientName, data.WindowCenter, data.WindowWidth = "Doe^Jane", 2000, 4000
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    data.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
        data.PhotometricInterpretation = "YBR_FULL_422" if encoded else "RGB"
    data.BitsAllocated = 8 * pixels.itemsize
    data.BitsStored = 8 if pixels.itemsize == 1 else 12
    data.HighBit, data.PixelRepresentation, data.NumberOfFrames = data.BitsStored - 1, 0, frames
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data.PixelData = (
        encapsulate([encoded]) if encoded else pixels.astype(pixels.dtype.newbyteorder(order)).tobytes() * frames
    )
    data["PixelData"].VR = "OB" if encoded or pixels.itemsize == 1 else "OW"
    data["PixelData"].is_undefined_length = bool(encoded)
    if syntax == RLELossless:
        data.compress(RLELossless, generate_instance_uid=False)
    for name, value in tags.items():
        setattr(data, name, value)
    buffer = DicomBytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# Random changes: (content, random) → content


def _flip_bits(content: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(2 ** random.integers(5)):
        if changed:
            changed[random.integers(len(changed))] ^= 1 << random.integers(8)
    return bytes(changed)


def _truncate(content: bytes, random: np.random.Generator) -> bytes:
    return content[: random.integers(len(content) + 1)]


def _insert(content: bytes, random: np.random.Generator) -> bytes:
    place = random.integers(len(content) + 1)
    return content[:place] + random.bytes(random.integers(1, 64)) + content[place:]


def _delete(content: bytes, random: np.random.Generator) -> bytes:
    place = random.integers(len(content) + 1)
    return content[:place] + content[place + random.integers(1, 64) :]


def _repeat(content: bytes, random: np.random.Generator) -> bytes:
    start, stop = np.sort(random.integers(len(content) + 1, size=2))
    return content[:stop] + content[start:stop] * int(random.integers(1, 4)) + content[stop:]


def _huge_number(content: bytes, random: np.random.Generator) -> bytes:
    """Declare a size or a count that is far too large, anywhere in the file's first part."""
    numbers = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff\xff", b"\x27\x0f", b"\x0f\x27", b"\x00\x00\x00\x00"]
    number = numbers[random.integers(len(numbers))]
    place = random.integers(min(len(content), 600) + 1)
    return content[:place] + number + content[place + len(number) :]


def _garbage(content: bytes, random: np.random.Generator) -> bytes:
    """Keep the magic bytes alone."""
    kept = 132 if content[128:132] == b"DICM" else 8
    return content[:kept] + random.bytes(random.integers(1, 2000))


def _valid_checksums(content: bytes, random: np.random.Generator) -> bytes:
    """Damage PNG behind its checksums, which would refuse the damage first; else flip bits."""
    if not content.startswith(b"\x89PNG"):
        return _flip_bits(content, random)
    parts, place = [content[:8]], 8
    while place + 12 <= len(content):
        length = struct.unpack(">I", content[place : place + 4])[0]
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        if data and random.random() < 0.5:
            data = _flip_bits(data, random)
        parts.append(png_chunk(kind, data))
        place += 12 + length
    return b"".join(parts)


MUTATIONS: list[Callable[[bytes, np.random.Generator], bytes]] = [
    _flip_bits, _flip_bits, _truncate, _insert, _delete, _repeat, _huge_number, _garbage, _valid_checksums,
]  # fmt: skip


# The worst, by hand


def _by_hand(folder: Path) -> Iterator[Path]:
    for name, content in (_bombs() | _oversized()).items():
        (folder / name).write_bytes(content)
        yield folder / name
    (folder / "empty.png").touch()
    (folder / "directory.png").mkdir()
    os.mkfifo(folder / "fifo.jpg")
    (folder / "loop-a.png").symlink_to(folder / "loop-b.png")
    (folder / "loop-b.png").symlink_to(folder / "loop-a.png")
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    (folder / "forbidden.png").write_bytes(valid_files()["gray.png"])
    (folder / "forbidden.png").chmod(0)
    (folder / "a\nline.png").write_bytes(b"no image")
    for name in (
        "empty.png",
        "directory.png",
        "fifo.jpg",
        "loop-a.png",
        "dangling.png",
        "forbidden.png",
        "a\nline.png",
    ):
        yield folder / name
    yield folder / "not-there.png"
    yield Path("/dev/zero")


def _bombs() -> dict[str, bytes]:
    """Return small files that expand to hundreds of megabytes or more."""
    zeros = zlib.compress(bytes(1_000_000), 9)
    deflated = dicom(np.zeros((HEIGHT, WIDTH), np.uint16), DeflatedExplicitVRLittleEndian)
    meta = deflated[: 144 + struct.unpack("<I", deflated[140:144])[0]]
    text = b"comment\0\0" + deflated_zeros(2_000)
    return {
        "bomb.png": png(HUGE, HUGE, 8, 0, deflated_zeros(100)),
        "bomb-rgba16.png": png(HUGE, HUGE, 16, 6, deflated_zeros(800)),
        "bomb-text.png": png(1, 1, 8, 0, zeros, png_chunk(b"zTXt", text)),
        "bomb-float.tif": tiff(HUGE, 5_000, 32, 3, deflated_zeros(200)),
        "bomb-deflate.tif": tiff(HUGE, HUGE, 8, 1, deflated_zeros(100)),
        "bomb-deflated.dcm": meta + deflated_zeros(4_000, raw=True),
        "bomb-frames.gif": _saved(Image.new("P", (1, 1)), "GIF").replace(b",", b"," * 100),
    }


def deflated_zeros(megabytes: int, raw: bool = False) -> bytes:
    """Return zeros deflated (`raw`: without zlib's header and checksum), by repeating one packed megabyte."""
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    stream = packed * megabytes + packer.flush()
    checksum = (megabytes * 1_000_000 % 65_521) << 16 | 1  # Adler-32 of zeros
    return stream if raw else b"\x78\xda" + stream + struct.pack(">I", checksum)


def _oversized() -> dict[str, bytes]:
    """Return files that declare far more pixels than they hold."""
    valid = valid_files()
    size = struct.pack(">HH", HEIGHT, WIDTH)
    huge = struct.pack(">HH", HUGE, HUGE)
    deep = np.zeros((HEIGHT, WIDTH), np.uint16)
    sides = {"Rows": HUGE, "Columns": HUGE}
    lossless = imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=12)
    tiled = imagecodecs.jpeg2k_encode(deep, codecformat="J2K", reversible=True)
    wide = {struct.pack(">I", WIDTH): struct.pack(">I", HUGE), struct.pack(">I", HEIGHT): struct.pack(">I", HUGE)}
    for old, new in wide.items():
        tiled = tiled.replace(old, new)
    return {
        "wide.png": png(HUGE, HUGE, 8, 2, zlib.compress(b"")),
        "wider.png": png(2**31 - 1, 2**31 - 1, 8, 2, zlib.compress(b"")),
        "wide.jpg": valid["gray.jpg"].replace(size, huge, 1),
        "wide-progressive.jpg": valid["progressive.jpg"].replace(size, huge, 1),
        "wide.gif": valid["photo.gif"].replace(struct.pack("<HH", WIDTH, HEIGHT), struct.pack("<HH", HUGE, HUGE)),
        "wide.bmp": valid["photo.bmp"].replace(struct.pack("<II", WIDTH, HEIGHT), struct.pack("<II", HUGE, HUGE)),
        "wide.tif": tiff(HUGE, HUGE, 8, 1, zlib.compress(b"")),
        "wide.dcm": dicom(deep, ExplicitVRLittleEndian, **sides),
        "wide-frames.dcm": dicom(deep, ExplicitVRLittleEndian, NumberOfFrames=2**31 - 1),
        "wide-rle.dcm": dicom(deep, RLELossless, **sides),
        "wide-jpeg.dcm": dicom(deep, JPEGLosslessSV1, lossless.replace(size, huge, 1), **sides),
        "wide-jpegls.dcm": dicom(deep, JPEGLSLossless, imagecodecs.jpegls_encode(deep).replace(size, huge), **sides),
        "wide-j2k.dcm": dicom(deep, JPEG2000Lossless, tiled, **sides),
    }


def png(width: int, height: int, depth: int, colour: int, data: bytes, extra: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(width: int, height: int, bits: int, sample_format: int, data: bytes) -> bytes:
    """Return a gray TIFF whose one strip is deflated `data`."""
    tags = {256: width, 257: height, 258: bits, 259: 8, 262: 1, 273: 8, 277: 1, 278: height, 279: len(data)}
    tags[339] = sample_format
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory
