"""Public: films as files. Who opens one of unknown origin opens it here: only image formats, and a mistake is one line.

What comes out is grey or RGB as a person would see it: DICOM through its window, a palette as its colours, transparency over
black, ink as light, and turned as EXIF says.
"""

from __future__ import annotations

import contextlib
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from rrgbench.errors import ConfigError, DataError

# Pillow's other readers start programs (EPS) or are never a film.
_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "PPM", "WEBP")

# Pillow's modes of more than 8 bits a channel, which ``convert`` would clip.
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")

# What Pillow and pydicom raise on files that are not what they claim to be.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    RuntimeError,
    ArithmeticError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# No chest film is larger; what a header claims is checked before memory is asked for.
_DICOM_BYTES = 1 << 29
_DICOM_PIXELS = 1 << 26

# Decoders under licences that a caller can live with: pydicom and Pillow, then GDCM (BSD) and CharLS (MIT, BSD). The codec of
# pylibjpeg-libjpeg is under the GPL, and pydicom would take it where it is installed.
_DECODERS = ("pydicom", "pillow", "gdcm", "pyjpegls")
_IMPLICIT, _LITTLE, _BIG, _DEFLATED = (f"1.2.840.10008.1.2{tail}" for tail in ("", ".1", ".2", ".1.99"))


class _Quiet:
    """Warnings of files left unsaid while any thread is inside: of a damaged EXIF tag, an odd header (the film itself is read or
    it is not), or Pillow's of many pixels (``_check_size`` holds to it).

    Threads share filters, and each would put back what it found, another's included. So the first thread in sets them, and the
    last one out puts them back.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._kept = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._kept.enter_context(warnings.catch_warnings())
                for kind in (UserWarning, Image.DecompressionBombWarning):
                    warnings.simplefilter("ignore", kind)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._kept.close()


_quiet = _Quiet()


def open_film(path: Path, study_id: str, *, enough: tuple[int, int] | None = None) -> Image.Image:
    """A film, read whole: of mode L or RGB, or of one of more than 8 bits (see ``eight_bits``). Threads may open films at once.

    A DICOM file is known by its content, whatever its name. Its pixels go through rescaling and the table or the first window
    of interest; without either they are spread over the film's own darkest to brightest; MONOCHROME1 is inverted, so that
    bone is white. (PresentationLUTShape says the same once more, and is not read.)
    EXIF orientation is followed: it is how every viewer shows the film, and what its report was read from.

    Args:
        path: its file.
        study_id: whose it is, for the mistake.
        enough: a grey film of this width and height will do, so that a JPEG need not be decoded at full size.

    Raises:
        DataError: the file is missing, damaged or not an image.
        ConfigError: a DICOM file, and pydicom is not installed.
    """
    try:
        with _quiet:
            if _is_dicom(path):
                return _open_dicom(path)
            # From an open file: Pillow 13 maps a TIFF that it is given by name, and then does not turn it.
            with path.open("rb") as file, Image.open(file, formats=_FORMATS) as film:
                _check_size(film)
                if enough is not None:
                    film.draft("L", enough)
                film.load()
                return _seen(film)
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        raise DataError(
            f"film {path} of study {study_id} cannot be read",
            got=reason,
            expected="a whole image file (PNG, JPEG, TIFF, DICOM ..)",
            hint="fetch the file again or take the study out",
        ) from error


def _check_size(film: Image.Image) -> None:
    """Pillow warns of a film over its limit and refuses one of twice as much; here the limit is one."""
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and film.width * film.height > most:
        raise ValueError(f"{film.width} x {film.height} pixels are more than {most}")


def eight_bits(film: Image.Image) -> Image.Image:
    """More than 8 bits are spread over the film's own darkest to brightest; others stay as they are."""
    if film.mode not in _DEEP_MODES:
        return film
    return Image.fromarray(_spread(np.asarray(film, dtype=np.float64)))


def _spread(deep: Any, where: Any = None) -> Any:
    """Values as uint8, from the least (0) to the greatest (255) of those that count."""
    counting = deep if where is None or not where.any() else deep[where]
    low, high = float(counting.min()), float(counting.max())
    return np.round((deep.clip(low, high) - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8)


def _seen(film: Image.Image) -> Image.Image:
    """A film as a viewer shows it: turned by its EXIF tag; without palette, transparency or ink."""
    turned = ImageOps.exif_transpose(film)
    if turned.mode in ("L", "RGB", *_DEEP_MODES):
        return turned
    if turned.mode == "1":
        return turned.convert("L")
    if turned.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in turned.info:
        clear = turned.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "black"), clear).convert("RGB")
    return turned.convert("RGB")


def _is_dicom(path: Path) -> bool:
    """By the mark behind the preamble, or by a first element of group 2 or 8 where an old file has neither."""
    with path.open("rb") as file:
        head = file.read(132)
    return head[128:] == b"DICM" or (
        head[:1] in (b"\2", b"\10") and head[1:2] == b"\0" and head[4:6].isalpha() and head[4:6].isupper()
    )


@contextlib.contextmanager
def _pydicom_told() -> Iterator[Any]:
    """pydicom, whose own errors become those of Python.

    Raises:
        ConfigError: it is not installed.
        ValueError: what it raises on a file that is no DICOM.
    """
    try:
        import pydicom
        import pydicom.errors
        import pydicom.filereader
        import pydicom.pixels
    except ImportError as error:
        hint = 'pip install "rrgbench[dicom]"'
        raise ConfigError("a film is a DICOM file, and pydicom is not installed", hint=hint) from error
    try:
        yield pydicom
    except (pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException) as error:
        raise ValueError(str(error)) from error


def _open_dicom(path: Path) -> Image.Image:
    if (size := path.stat().st_size) > _DICOM_BYTES:
        raise ValueError(f"{size} bytes are more than any film has")
    with _pydicom_told() as pydicom:
        marked = pydicom.misc.is_dicom(path)
        if marked and pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID") == _DEFLATED:
            raise ValueError("a deflated DICOM file may unpack to any size")
        header = pydicom.dcmread(path, force=not marked)
        if "PixelData" not in header:
            raise ValueError("a DICOM file without pixels")
        pixels = _dicom_pixels(pydicom, header)
        kind = header.PhotometricInterpretation
        if kind in ("MONOCHROME1", "MONOCHROME2"):
            return Image.fromarray(_grey(header, pixels, inverted=kind == "MONOCHROME1"))
        if (
            kind in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
            and pixels.dtype == np.uint8
            and pixels.shape[2:] == (3,)
        ):
            return Image.fromarray(pixels)
        raise ValueError(f"PhotometricInterpretation {kind} of {header.BitsStored} bits is not read")


def _dicom_pixels(pydicom: Any, header: Any) -> Any:
    """The stored values, (rows, columns) or (rows, columns, 3); what lies in bits above those that are used is cut off."""
    rows, columns, frames = int(header.Rows), int(header.Columns), int(header.get("NumberOfFrames") or 1)
    if frames != 1 or not 0 < rows * columns <= _DICOM_PIXELS:
        raise ValueError(f"{frames} frames of {columns} x {rows} pixels are no film")
    if "TransferSyntaxUID" not in header.file_meta:  # a file from before there was such a header
        implicit, little = header.original_encoding
        header.file_meta.TransferSyntaxUID = _IMPLICIT if implicit else _LITTLE if little else _BIG
    syntax = header.file_meta.TransferSyntaxUID
    decoder = pydicom.pixels.get_decoder(syntax)
    plugin = next((name for name in _DECODERS if name in decoder.available_plugins), "")
    if not decoder.is_native and not plugin:
        raise ValueError(f"no decoder for {syntax.name} is installed: python-gdcm has one for most, or store it uncompressed")
    pixels = pydicom.pixels.pixel_array(header, decoding_plugin=plugin)
    stored, allocated = int(header.BitsStored), int(header.BitsAllocated)
    if pixels.ndim == 2 and pixels.dtype.kind in "iu" and 0 < stored < allocated <= 32:
        values = pixels.astype(np.int64) & ((1 << stored) - 1)
        signed = int(header.PixelRepresentation) == 1
        return np.where(values >> (stored - 1), values - (1 << stored), values) if signed else values
    return pixels.astype(np.int64) if pixels.ndim == 2 and pixels.dtype.kind in "iu" else pixels


def _grey(header: Any, stored: Any, *, inverted: bool) -> Any:
    """Stored values to uint8 as PS3.3 C.11.1 and C.11.2 say: rescaled (or by table), then the table or window of interest."""
    padding = _padding(header, stored)
    if header.get("ModalityLUTSequence"):
        values = _looked_up(stored, header.ModalityLUTSequence[0])[0].astype(np.float64)
    else:
        with np.errstate(invalid="ignore", over="ignore"):  # told below
            values = stored * _first(header.get("RescaleSlope") or 1) + _first(header.get("RescaleIntercept") or 0)
    if not np.isfinite(values).all():
        raise ValueError("pixels that are no numbers after rescaling")
    center, width = header.get("WindowCenter"), header.get("WindowWidth")
    if header.get("VOILUTSequence"):
        shown, brightest = _looked_up(np.round(values).astype(np.int64), header.VOILUTSequence[0])
        grey = np.round(shown * (255.0 / brightest)).clip(0, 255).astype(np.uint8)
    elif center is not None and width is not None:
        grey = _windowed(values, _first(center), _first(width), header.get("VOILUTFunction") or "LINEAR")
    else:
        grey = _spread(values, None if padding is None else ~padding)
    grey = 255 - grey if inverted else grey
    return grey if padding is None else np.where(padding, 0, grey).astype(np.uint8)


def _looked_up(values: Any, table: Any) -> tuple[Any, int]:
    """Values through a table (PS3.3 C.11.1.1.1), and the greatest that it can give; those beyond its ends take its ends."""
    entries, first, bits = (int(part) for part in table.LUTDescriptor)
    entries = entries or 1 << 16
    data = table.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, dtype="u1" if bits <= 8 and len(data) in (entries, entries + 1) else "<u2")
    data = np.atleast_1d(np.asarray(data, dtype=np.int64))[:entries]
    if len(data) < entries or not 8 <= bits <= 16:
        raise ValueError(f"a table of {len(data)} entries of {bits} bits where {entries} are announced")
    return data[(values - first).clip(0, entries - 1)], (1 << bits) - 1


def _first(value: Any) -> float:
    """A header's number; of several windows the first."""
    return float(value[0] if isinstance(value, (list, tuple)) or hasattr(value, "insert") else value)


def _padding(header: Any, stored: Any) -> Any:
    """Where a film was filled up to a rectangle; None where the header tells nothing of it."""
    value = header.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = header.get("PixelPaddingRangeLimit")
    ends = (value, limit if isinstance(limit, int) else value)
    return (stored >= min(ends)) & (stored <= max(ends))


def _windowed(values: Any, center: float, width: float, function: str) -> Any:
    """Values through a window to uint8: LINEAR, LINEAR_EXACT and SIGMOID of PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    exact = function == "LINEAR_EXACT"
    if not np.isfinite(center) or not np.isfinite(width) or (width <= 0 if exact or function == "SIGMOID" else width < 1):
        raise ValueError(f"a window of width {width} around {center}")
    if function == "SIGMOID":
        shown = 1.0 / (1.0 + np.exp((-4.0 * (values - center) / width).clip(-700, 700)))
    elif exact:
        shown = (values - center) / width + 0.5
    elif function == "LINEAR":
        shown = (values - (center - 0.5)) / max(width - 1.0, 1e-12) + 0.5
    else:
        raise ValueError(f"VOILUTFunction {function!r} is none that the standard knows")
    return np.round(shown.clip(0.0, 1.0) * 255.0).astype(np.uint8)
