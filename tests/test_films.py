"""Films as they really come: every file is built here, and read as a person would see it."""

from __future__ import annotations

import importlib.util
import io
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rrgbench import ConfigError, DataError
from rrgbench.films import eight_bits, open_film

needs_pydicom = pytest.mark.skipif(importlib.util.find_spec("pydicom") is None, reason="pydicom is not installed")

RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
"""0 to 4080: twelve bits."""


def read(path: Path) -> Any:
    return np.asarray(open_film(path, "s1"))


def told(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_film(path, "s1")
    line = str(caught.value)
    assert "\n" not in line
    assert f"film {path} of study s1 cannot be read" in line
    return line


# PNG and JPEG.


def save(path: Path, film: Image.Image, **how: Any) -> Path:
    film.save(path, **how)
    return path


def test_a_film_of_16_bits_is_spread_and_not_clipped(tmp_path: Path) -> None:
    deep = (RAMP + 1000).astype(np.uint16)
    film = open_film(save(tmp_path / "a.png", Image.fromarray(deep)), "s1")
    assert film.mode in ("I;16", "I")
    grey = np.asarray(eight_bits(film))
    assert (grey.dtype, grey.min(), grey.max()) == (np.uint8, 0, 255)
    assert np.array_equal(grey, np.round((deep - 1000.0) * 255 / 4080).astype(np.uint8))


def test_a_palette_is_read_as_its_colours(tmp_path: Path) -> None:
    film = Image.fromarray(np.array([[0, 1], [2, 3]], dtype=np.uint8), "P")
    film.putpalette([200, 200, 200, 10, 10, 10, 90, 90, 90, 255, 255, 255])
    made = open_film(save(tmp_path / "a.png", film), "s1")
    assert made.mode == "RGB"
    assert np.asarray(made.convert("L")).tolist() == [[200, 10], [90, 255]]


def test_a_palette_with_a_transparent_colour_is_black_there(tmp_path: Path) -> None:
    film = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "P")
    film.putpalette([200, 200, 200, 100, 100, 100])
    made = open_film(save(tmp_path / "a.png", film, transparency=0), "s1")
    assert np.asarray(made.convert("L")).tolist() == [[0, 100]]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_is_black_whatever_lies_beneath(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(np.array([[255, 255, 100]], dtype=np.uint8))
    film = grey.convert(mode)
    film.putalpha(Image.fromarray(np.array([[0, 128, 255]], dtype=np.uint8)))
    assert np.asarray(open_film(save(tmp_path / "a.png", film), "s1").convert("L")).tolist() == [[0, 128, 100]]


def test_a_film_of_one_bit_is_black_and_white(tmp_path: Path) -> None:
    film = Image.fromarray(np.array([[True, False]]))
    assert film.mode == "1"
    assert read(save(tmp_path / "a.png", film)).tolist() == [[255, 0]]


def test_ink_is_read_as_light(tmp_path: Path) -> None:
    film = Image.new("CMYK", (16, 16), (0, 0, 0, 55))
    made = open_film(save(tmp_path / "a.jpg", film, quality=100), "s1")
    assert made.mode == "RGB"
    assert abs(int(np.asarray(made.convert("L")).mean()) - 200) <= 2


@pytest.mark.parametrize(("suffix", "tolerance"), [("jpg", 6), ("png", 0), ("tiff", 0)])
def test_a_film_is_turned_as_its_exif_says(tmp_path: Path, suffix: str, tolerance: int) -> None:
    upright = np.zeros((24, 16), dtype=np.uint8)
    upright[:8, :8] = 240
    lying = Image.fromarray(np.rot90(upright).copy())  # tag 6: turn it a quarter clockwise to see it
    exif = Image.Exif()
    exif[0x0112] = 6
    made = read(save(tmp_path / f"a.{suffix}", lying, exif=exif, **({"quality": 100} if suffix == "jpg" else {})))
    assert made.shape == (24, 16)
    assert np.abs(made.astype(int) - upright).max() <= tolerance


def test_a_grey_film_stays_as_it_is(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(read(save(tmp_path / "a.png", Image.fromarray(grey))), grey)


def test_what_is_no_film_is_one_line(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.png", Image.fromarray(RAMP)).read_bytes()
    for content in (b"", b"text", whole[:60], b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x02\x00\x00\x00UL", b"\0" * 128 + b"DICM"):
        (tmp_path / "a.png").write_bytes(content)
        told(tmp_path / "a.png")
    (tmp_path / "a.png").unlink()
    assert "No such file" in told(tmp_path / "a.png")
    assert "directory" in told(tmp_path)


# Many at once.


def test_a_thread_that_ends_leaves_the_others_quiet_and_the_last_leaves_filters_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second film is opened while the first is, and Pillow warns of it when the first is done."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)  # the films have 256: a warning of Pillow's, and a mistake here
    first, second = (save(tmp_path / name, Image.fromarray(RAMP)) for name in ("first.png", "second.png"))
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    real = Image.open

    def slowly(file: Any, **how: Any) -> Any:
        if Path(file.name) == first:
            first_in.set()
            assert second_in.wait(30)
        else:
            second_in.set()
            assert first_out.wait(30)
        return real(file, **how)

    monkeypatch.setattr(Image, "open", slowly)
    with warnings.catch_warnings(record=True) as said, ThreadPoolExecutor(2) as pool:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        one = pool.submit(told, first)
        assert first_in.wait(30)
        two = pool.submit(told, second)
        lines = [one.result(30)]
        first_out.set()
        lines.append(two.result(30))
        assert list(warnings.filters) == before
    assert [str(warning.message) for warning in said] == []
    assert all("got ValueError: 16 x 16 pixels are more than 200" in line for line in lines)


def test_films_that_are_opened_at_once_are_read_or_refused_each_as_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    sides = {tmp_path / f"{number}.png": (16, 14, 30, 8)[number % 4] for number in range(80)}
    for path, side in sides.items():
        Image.new("L", (side, side), 9).save(path)

    def outcome(path: Path) -> int:
        try:
            return open_film(path, "s1").width
        except DataError:
            return -1

    with warnings.catch_warnings(record=True) as said, ThreadPoolExecutor(8) as pool:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        found = list(pool.map(outcome, sides))
        assert list(warnings.filters) == before
    assert [str(warning.message) for warning in said] == []
    assert found == [side if side * side <= 200 else -1 for side in sides.values()]


# DICOM.


def dicom(path: Path, pixels: Any = RAMP, *, syntax: str = "1.2.840.10008.1.2.1", compress: str = "", **fields: Any) -> Path:
    """A DICOM file as a CR device writes it, with the fields of a test; one that is None is left out."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    made.Rows, made.Columns = pixels.shape[:2]
    bits = 8 * pixels.dtype.itemsize
    standard = {
        "SamplesPerPixel": 1 if pixels.ndim == 2 else 3,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "BitsAllocated": bits,
        "BitsStored": 12 if bits == 16 else bits,
        "PixelData": pixels.tobytes(),
    }
    for name, value in (standard | fields).items():
        if value is not None:
            setattr(made, name, value)
    made.HighBit = made.BitsStored - 1
    if compress:
        made.compress(compress, generate_instance_uid=False)
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path


def table(values: Any, first: int, bits: int) -> Any:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item.LUTData = list(values)
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    return Sequence([item])


def spread(values: Any) -> Any:
    values = np.asarray(values, dtype=float)
    return np.round((values - values.min()) * 255 / (values.max() - values.min())).astype(np.uint8)


@needs_pydicom
def test_dicom_is_known_by_its_content(tmp_path: Path) -> None:
    made = dicom(tmp_path / "film.png")
    assert np.array_equal(read(made), spread(RAMP))
    save(tmp_path / "grey.png", Image.fromarray(np.full((2, 2), 7, dtype=np.uint8))).rename(tmp_path / "film.dcm")
    assert read(tmp_path / "film.dcm").tolist() == [[7, 7], [7, 7]]


@needs_pydicom
def test_a_dicom_file_without_preamble_is_read(tmp_path: Path) -> None:
    import pydicom

    made = pydicom.dcmread(dicom(tmp_path / "a.dcm"))
    stream = io.BytesIO()
    made.preamble, made.file_meta = None, pydicom.dataset.FileMetaDataset()
    pydicom.dcmwrite(stream, made, implicit_vr=False, little_endian=True)
    assert stream.getvalue()[:2] == b"\x08\x00"
    (tmp_path / "old").write_bytes(stream.getvalue())
    assert np.array_equal(read(tmp_path / "old"), spread(RAMP))


@needs_pydicom
def test_monochrome1_is_inverted_whatever_the_presentation_shape_says(tmp_path: Path) -> None:
    made = dicom(tmp_path / "a.dcm", PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert np.array_equal(read(made), 255 - spread(RAMP))


@needs_pydicom
def test_a_linear_window_is_that_of_the_standard(tmp_path: Path) -> None:
    grey = read(dicom(tmp_path / "a.dcm", WindowCenter=2048, WindowWidth=1024)).ravel()
    values = RAMP.ravel().astype(float)
    assert set(grey[values <= 2048 - 0.5 - 511.5]) == {0}
    assert set(grey[values > 2048 - 0.5 + 511.5]) == {255}
    inside = (values > 1600) & (values < 2500)
    assert np.array_equal(grey[inside], np.round(((values[inside] - 2047.5) / 1023 + 0.5) * 255).astype(np.uint8))


@needs_pydicom
def test_of_several_windows_the_first_counts(tmp_path: Path) -> None:
    several = read(dicom(tmp_path / "a.dcm", WindowCenter=[2048, 100], WindowWidth=[1024, 10]))
    assert np.array_equal(several, read(dicom(tmp_path / "b.dcm", WindowCenter=2048, WindowWidth=1024)))


@needs_pydicom
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR_EXACT", lambda x: np.clip((x - 2048) / 1024 + 0.5, 0, 1)),
        ("SIGMOID", lambda x: 1 / (1 + np.exp(-4 * (x - 2048) / 1024))),
    ],
)
def test_the_other_functions_of_the_window_are_followed(tmp_path: Path, function: str, expected: Any) -> None:
    made = dicom(tmp_path / "a.dcm", WindowCenter=2048, WindowWidth=1024, VOILUTFunction=function)
    assert np.array_equal(read(made), np.round(expected(RAMP.astype(float)) * 255).astype(np.uint8))


@needs_pydicom
def test_the_window_is_of_rescaled_values(tmp_path: Path) -> None:
    made = dicom(tmp_path / "a.dcm", RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=3096, WindowWidth=2048)
    values = RAMP.astype(float) * 2 - 1000
    assert np.array_equal(read(made), np.round(((values - 3095.5) / 2047 + 0.5).clip(0, 1) * 255).astype(np.uint8))


@needs_pydicom
def test_a_negative_slope_turns_the_film(tmp_path: Path) -> None:
    assert np.array_equal(read(dicom(tmp_path / "a.dcm", RescaleSlope=-1, RescaleIntercept=4095)), spread(-RAMP.astype(float)))


@needs_pydicom
def test_a_table_of_interest_comes_before_a_window(tmp_path: Path) -> None:
    lut = [min(4095, 2 * value) for value in range(2048)]
    made = dicom(tmp_path / "a.dcm", VOILUTSequence=table(lut, 1000, 12), WindowCenter=1, WindowWidth=1)
    expected = np.asarray(lut)[(RAMP.astype(int) - 1000).clip(0, 2047)] * 255 / 4095
    assert np.array_equal(read(made), np.round(expected).astype(np.uint8))


@needs_pydicom
def test_a_table_of_more_than_256_entries_of_8_bits_does_not_wrap(tmp_path: Path) -> None:
    lut = [value // 16 for value in range(4096)]
    made = dicom(tmp_path / "a.dcm", VOILUTSequence=table(lut, 0, 8))
    assert np.array_equal(read(made), (RAMP // 16).astype(np.uint8))


@needs_pydicom
def test_a_modality_table_comes_before_the_window(tmp_path: Path) -> None:
    lut = list(range(4095, -1, -1))
    made = dicom(tmp_path / "a.dcm", ModalityLUTSequence=table(lut, 0, 16))
    assert np.array_equal(read(made), spread(-RAMP.astype(float)))


@needs_pydicom
def test_signed_values_are_signed(tmp_path: Path) -> None:
    signed = (RAMP.astype(np.int16) - 2048).astype(np.int16)
    assert np.array_equal(read(dicom(tmp_path / "a.dcm", signed)), spread(signed))
    unsigned_bits = (signed & 0x0FFF).astype(np.int16)  # twelve bits without the sign drawn up
    assert np.array_equal(read(dicom(tmp_path / "b.dcm", unsigned_bits)), spread(signed))


@needs_pydicom
def test_what_lies_above_the_stored_bits_is_cut_off(tmp_path: Path) -> None:
    overlaid = (RAMP | np.where(RAMP % 32 == 0, 0x8000, 0)).astype(np.uint16)
    assert np.array_equal(read(dicom(tmp_path / "a.dcm", overlaid)), spread(RAMP))


@needs_pydicom
@pytest.mark.parametrize("stored", [10, 14, 15, 16])
def test_other_depths_are_read(tmp_path: Path, stored: int) -> None:
    deep = (np.arange(256).reshape(16, 16) * ((1 << stored) - 1) // 255).astype(np.uint16)
    assert np.array_equal(read(dicom(tmp_path / "a.dcm", deep, BitsStored=stored)), spread(deep))


@needs_pydicom
def test_eight_bits_are_read(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(read(dicom(tmp_path / "a.dcm", grey, WindowCenter=128, WindowWidth=256)), grey)


@needs_pydicom
@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_count(tmp_path: Path, interpretation: str) -> None:
    padded = (RAMP // 4 + 500).astype(np.uint16)
    padded[:, :4] = 4095
    made = read(dicom(tmp_path / "a.dcm", padded, PixelPaddingValue=4095, PhotometricInterpretation=interpretation))
    assert not made[:, :4].any()
    expected = spread(padded[:, 4:])
    assert np.array_equal(made[:, 4:], expected if interpretation == "MONOCHROME2" else 255 - expected)


@needs_pydicom
def test_colour_is_read(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    made = dicom(tmp_path / "a.dcm", colour, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    assert np.array_equal(read(made), colour)


@needs_pydicom
def test_big_endian_and_implicit_files_are_read(tmp_path: Path) -> None:
    assert np.array_equal(read(dicom(tmp_path / "a.dcm", syntax="1.2.840.10008.1.2")), spread(RAMP))
    big = dicom(tmp_path / "b.dcm", syntax="1.2.840.10008.1.2.2", PixelData=RAMP.byteswap().tobytes())
    assert np.array_equal(read(big), spread(RAMP))


@needs_pydicom
def test_run_lengths_and_jpeg_2000_are_decoded(tmp_path: Path) -> None:
    assert np.array_equal(read(dicom(tmp_path / "a.dcm", compress="1.2.840.10008.1.2.5")), spread(RAMP))
    stream = io.BytesIO()
    Image.fromarray(RAMP).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
    made = encapsulated(tmp_path / "b.dcm", stream.getvalue(), "1.2.840.10008.1.2.4.90", BitsStored=16)
    assert np.array_equal(read(made), spread(RAMP))


def encapsulated(path: Path, stream: bytes, syntax: str, **fields: Any) -> Path:
    """A DICOM file around a compressed stream."""
    import pydicom
    from pydicom.encaps import encapsulate

    made = pydicom.dcmread(dicom(path, **fields))
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([stream])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(path, made)
    return path


@needs_pydicom
def test_a_jpeg_inside_is_decoded(tmp_path: Path) -> None:
    grey = np.full((16, 16), 100, dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "JPEG", quality=100)
    made = encapsulated(
        tmp_path / "a.dcm", stream.getvalue(), "1.2.840.10008.1.2.4.50", pixels=grey, WindowCenter=128, WindowWidth=256
    )
    assert np.abs(read(made).astype(int) - 100).max() <= 1


@needs_pydicom
def test_a_codec_under_the_gpl_is_never_asked(tmp_path: Path) -> None:
    made = encapsulated(tmp_path / "a.dcm", b"\xff\xd8\xff\xd9", "1.2.840.10008.1.2.4.70")
    line = told(made)
    if importlib.util.find_spec("gdcm") is None:
        assert "no decoder for JPEG Lossless" in line
        assert "python-gdcm" in line


@needs_pydicom
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"PixelData": b"\0" * 10}, "cannot be read"),
        ({"PixelData": None}, "without pixels"),
        ({"NumberOfFrames": 2, "PixelData": RAMP.tobytes() * 2}, "2 frames"),
        ({"Rows": 60000, "Columns": 60000}, "60000 x 60000"),
        ({"WindowCenter": 100, "WindowWidth": 0}, "a window of width 0.0"),
        ({"WindowCenter": 100, "WindowWidth": 10, "VOILUTFunction": "CUBIC"}, "VOILUTFunction 'CUBIC'"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PhotometricInterpretation PALETTE COLOR"),
        ({"PhotometricInterpretation": None}, "cannot be read"),
        ({"BitsStored": 40}, "cannot be read"),
    ],
)
def test_a_dicom_file_that_is_no_film_is_one_line(tmp_path: Path, fields: dict[str, Any], expected: str) -> None:
    assert expected in told(dicom(tmp_path / "a.dcm", **fields))


@needs_pydicom
def test_a_table_that_is_too_short_is_told(tmp_path: Path) -> None:
    lut = table([1, 2, 3], 0, 12)
    lut[0].LUTDescriptor = [4096, 0, 12]
    assert "a table of 3 entries" in told(dicom(tmp_path / "a.dcm", VOILUTSequence=lut))


@needs_pydicom
def test_a_deflated_file_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    import pydicom

    made = pydicom.dcmread(dicom(tmp_path / "a.dcm"))
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    pydicom.dcmwrite(tmp_path / "a.dcm", made)
    assert "deflated" in told(tmp_path / "a.dcm")


@needs_pydicom
def test_a_dicom_file_cut_anywhere_is_one_line_or_a_film(tmp_path: Path) -> None:
    whole = dicom(tmp_path / "a.dcm", WindowCenter=2048, WindowWidth=1024).read_bytes()
    rng = np.random.default_rng(0)
    for cut in (133, 140, 200, 300, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.dcm").write_bytes(whole[:cut])
        told(tmp_path / "a.dcm")
    for _ in range(60):
        spoilt = bytearray(whole)
        for place in rng.integers(128, len(whole) - RAMP.nbytes, 4):
            spoilt[place] = rng.integers(256)
        (tmp_path / "a.dcm").write_bytes(spoilt)
        try:
            open_film(tmp_path / "a.dcm", "s1")
        except DataError as error:
            assert "\n" not in str(error)


def test_without_pydicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 100)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pydicom"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ConfigError, match=r'pip install "rrgbench\[dicom\]"'):
        open_film(tmp_path / "a.dcm", "s1")
