"""Compressed DICOM frames to samples: JPEG, JPEG-LS and JPEG 2000 by imagecodecs, RLE by pydicom itself.

The functions are a plugin as pydicom's decoders want it. Decoders are named one by one, so that the answer does not
depend on what else is installed: GDCM ends the whole process on some damaged files, and pylibjpeg-rle's panics are no
`Exception`.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from pydicom import uid
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner

from kmedtl.images.pixels import UnreadableImageError

_END_OF_JPEG = b"\xff\xd9"


def _jpeg(source: bytes) -> np.ndarray:
    import imagecodecs  # a scanner whose files are not compressed does without these 60 MB

    # Equal colour spaces in and out: pydicom converts YBR to RGB, by what the DICOM tags say.
    return imagecodecs.jpeg8_decode(_complete(source), colorspace="UNKNOWN", outcolorspace="UNKNOWN")


def _jpegls(source: bytes) -> np.ndarray:
    import imagecodecs

    return imagecodecs.jpegls_decode(_complete(source))


def _jpeg2k(source: bytes) -> np.ndarray:
    import imagecodecs

    return imagecodecs.jpeg2k_decode(source)


def _complete(source: bytes) -> bytes:
    """Refuse a frame cut short: libjpeg would fill it up with gray, CharLS may need many seconds to refuse it."""
    if _END_OF_JPEG not in source:
        raise ValueError("the frame is cut short")
    return source


_CODECS = {
    uid.JPEGExtended12Bit: _jpeg,
    uid.JPEGLossless: _jpeg,
    uid.JPEGLosslessSV1: _jpeg,
    uid.JPEGLSLossless: _jpegls,
    uid.JPEGLSNearLossless: _jpegls,
    uid.JPEG2000Lossless: _jpeg2k,
    uid.JPEG2000: _jpeg2k,
}
_PLUGINS = dict.fromkeys(_CODECS, "imagecodecs") | {uid.JPEGBaseline8Bit: "pillow", uid.RLELossless: "pydicom"}

DECODER_DEPENDENCIES = dict.fromkeys(_CODECS, ("imagecodecs",))  # pydicom looks for this name


def plugin_for(syntax: uid.UID) -> str:
    """Return which decoder reads a transfer syntax; "" where it is not compressed.

    Raises:
        NotImplementedError: none does.
        UnreadableImageError: the one that does is not installed.
    """
    if syntax.is_encapsulated and syntax not in _PLUGINS:
        raise NotImplementedError("no decoder for this transfer syntax")
    plugin = _PLUGINS.get(syntax, "")
    if plugin == "imagecodecs" and find_spec("imagecodecs") is None:
        raise UnreadableImageError(f"{syntax.name} inside DICOM needs a decoder: pip install imagecodecs")
    return plugin


def is_available(syntax: uid.UID) -> bool:
    """Tell pydicom whether `decode_frame` reads a transfer syntax."""
    return syntax in _CODECS


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Return one frame's samples, 8 or 16 bits each, colour by pixel; called by pydicom.

    Raises:
        ValueError: the frame is not of the size that the tags say.
        RuntimeError: imagecodecs cannot decode it.
    """
    frame = _CODECS[runner.transfer_syntax](source)
    colour = (runner.samples_per_pixel,) if runner.samples_per_pixel > 1 else ()
    if frame.shape != (runner.rows, runner.columns, *colour):
        raise ValueError("the frame is not of the size that the tags say")
    runner.set_option("bits_allocated", 8 * frame.dtype.itemsize)
    if colour:
        runner.set_option("planar_configuration", 0)
    if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")  # JPEG 2000's own colour transforms are undone by now
    return np.ascontiguousarray(frame).tobytes()


for _syntax in _CODECS:
    get_decoder(_syntax).add_plugin("imagecodecs", (__name__, "decode_frame"))
