"""Damage to films: what stands in a file in place of a picture, or of a whole one."""

from __future__ import annotations

import io
import struct
import zlib
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from .plain import Change, empty, noise, page

_EXPLICIT, _DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"


def as_dicom(pixels: Any, syntax: str = _EXPLICIT, **fields: Any) -> bytes:
    """A DICOM file of 8 bits, with fields of a case; one that is None is left out."""
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    made = FileDataset("film", {}, file_meta=meta, preamble=b"\0" * 128)
    standard = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": "1.2.3",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelRepresentation": 0,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelData": pixels.tobytes(),
    }
    for name, value in (standard | fields).items():
        if value is not None:
            setattr(made, name, value)
    if "PixelData" in made:
        made["PixelData"].VR = "OB"
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def film_changes() -> dict[str, Change]:
    """What can happen to any film."""
    return {
        "of 0 bytes": empty,
        "random bytes": noise,
        "a web page": page,
        "text": lambda content, random: b"The film is with the radiologist.\n",
        "cut in the middle": lambda content, random: content[: random.randrange(len(content) // 3, len(content) // 2)],
        "its first bytes alone": lambda content, random: content[:8],
        "a decompression bomb": lambda content, random: png(30_000, 30_000),
    }


def other_changes() -> dict[str, Change]:
    """What else may stand under the name of a film: formats that are none, and damage that one format knows."""
    return {
        "PNG: no width": lambda content, random: png(0, 8),
        "PNG: pixels of another size": lambda content, random: png(800, 800),
        "PNG: wrong bytes in its pixels": _wrong_pixels,
        "PNG: a text that unpacks to 64 MB": lambda content, random: _text_bomb(),
        "JPEG: cut in the middle": lambda content, random: (jpeg := _saved("JPEG"))[: len(jpeg) // 2],
        "JPEG: of 65,535 x 65,535": lambda content, random: _large_jpeg(),
        "GIF: cut in the middle": lambda content, random: (gif := _saved("GIF"))[: len(gif) // 2],
        "TIFF: its table outside the file": lambda content, random: b"II*\0" + struct.pack("<I", 1 << 30),
        "TIFF: cut in the middle": lambda content, random: (tiff := _saved("TIFF"))[: len(tiff) // 2],
        "WebP: cut in the middle": lambda content, random: (webp := _saved("WEBP"))[: len(webp) // 2],
        "PostScript": lambda content, random: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n%%EOF\n",
        "SVG": lambda content, random: b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>',
        "a zip": lambda content, random: b"PK\3\4" + random.randbytes(200),
        "gzip": lambda content, random: b"\x1f\x8b" + random.randbytes(200),
        "an array of NumPy": lambda content, random: b"\x93NUMPY\1\0" + random.randbytes(200),
    }


def harmless_films() -> dict[str, Change]:
    """Whole films under the name of another format, and one that is whole but for a sum."""
    return {
        "PNG in it": lambda content, random: _saved("PNG"),
        "JPEG in it": lambda content, random: _saved("JPEG"),
        "TIFF in it": lambda content, random: _saved("TIFF"),
        "DICOM in it": lambda content, random: as_dicom(_PIXELS),
        "PNG: a wrong checksum": lambda content, random: png(8, 8, wrong=True),
    }


def dicom_changes() -> dict[str, Change]:
    """Damage that DICOM knows."""
    made: dict[str, dict[str, Any]] = {
        "without pixels": {"PixelData": None},
        "fewer pixels than it says": {"Rows": 4000},
        "of 65,535 x 65,535": {"Rows": 65_535, "Columns": 65_535},
        "of no rows": {"Rows": 0},
        "of 500 frames": {"NumberOfFrames": 500},
        "of an unknown colour": {"PhotometricInterpretation": "PUCE"},
        "without its size": {"Columns": None},
        "of 13 bits a pixel": {"BitsAllocated": 13},
        "a window of no width": {"WindowCenter": 40, "WindowWidth": 0},
        "a slope that is no number": {"RescaleSlope": "1e999"},
    }
    found: dict[str, Change] = {
        f"DICOM: {name}": lambda content, random, fields=fields: as_dicom(_PIXELS, **fields) for name, fields in made.items()
    }
    found["DICOM: deflated"] = lambda content, random: as_dicom(_PIXELS, _DEFLATED)
    found["DICOM: its mark alone"] = lambda content, random: b"\0" * 128 + b"DICM"
    found["DICOM: random bytes behind the mark"] = lambda content, random: b"\0" * 128 + b"DICM" + random.randbytes(2000)
    return found


_PIXELS = np.arange(1024, dtype=np.uint8).reshape(32, 32)


def png(width: int, height: int, *, wrong: bool = False, more: bytes = b"") -> bytes:
    """A PNG of grey whose header says what it likes; it holds one black pixel, packed."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = _chunk(b"IDAT", zlib.compress(b"\0" * (9 * 8 if wrong else 2)))
    if wrong:
        pixels = pixels[:-4] + b"\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + more + pixels + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _wrong_pixels(content: bytes, random: Random) -> bytes:
    """A whole PNG, but for forty bytes in its packed pixels."""
    whole = _saved("PNG")
    place = random.randrange(len(whole) // 3, len(whole) // 2)
    return whole[:place] + bytes(byte ^ 0x5A for byte in whole[place : place + 40]) + whole[place + 40 :]


def _text_bomb() -> bytes:
    return png(1, 1, more=_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b" " * (1 << 26))))


def _saved(kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(out, format=kind)
    return out.getvalue()


def _large_jpeg() -> bytes:
    """A JPEG whose header claims the most that it can."""
    content = _saved("JPEG")
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + b"\xff\xff\xff\xff" + content[place + 4 :]
