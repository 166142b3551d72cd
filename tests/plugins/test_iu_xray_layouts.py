"""IU X-ray from OpenI's own archives and from Kaggle's pair: the same studies, reports and order as from R2Gen's file."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from rrgbench_datasets import IUXray
from rrgbench_datasets.iu_xray import split
from rrgbench_datasets.iu_xray.films import restored_size
from rrgbench_datasets.openi import Report, read_reports

from rrgbench import SPLITS, ConfigError, Count, DataError
from rrgbench.catalogue import Catalogue
from rrgbench.data import read_dataset
from rrgbench.store import Store
from rrgbench.testing import DatasetContract

XML = """<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR{number}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">{comparison}</AbstractText><AbstractText Label="INDICATION">{indication}</AbstractText>
<AbstractText Label="FINDINGS">{findings}</AbstractText><AbstractText Label="IMPRESSION">{impression}</AbstractText>
</Abstract></Article></MedlineCitation>{images}</eCitation>"""

# Number -> findings, impression, indication, comparison, films. 5 has no findings, 6 one film, 7 no impression.
STUDIES: dict[int, tuple[str, str, str, str, int]] = {
    1: ("The heart is normal.", "Normal chest.", "Cough", "None.", 2),
    2: ("The lungs are\n   clear.", "No disease.", "", "XXXX", 3),
    3: ("Hazy left base.", "Atelectasis.", "Fever  and\n chills", "", 2),
    4: ("Large effusion.", "Effusion.", "Pain", "None", 2),
    5: ("", "Normal.", "Pain", "", 2),
    6: ("Clear lungs.", "Normal.", "Pain", "", 1),
    7: ("Clear apex.", "", "Fall", "Old films", 2),
}
PUBLISHED = {"train": ["CXR7_IM-0007", "CXR2_IM-0002", "CXR1_1_IM-0001"], "validate": ["CXR3_IM-0003"], "test": ["CXR4_IM-0004"]}


def image_ids(number: int) -> list[str]:
    """OpenI's ids of a report's films; those of report 1 have its number twice, as in the real collection."""
    return [f"CXR{'1_' if number == 1 else ''}{number}_IM-{number:04}-{film}001" for film in range(1, STUDIES[number][4] + 1)]


def film(path: Path, size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 90).save(path)


def openi(root: Path) -> Path:
    root.mkdir(exist_ok=True)
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as tar:
        for number, (findings, impression, indication, comparison, _) in STUDIES.items():
            images = "".join(f'<parentImage id="{image}"/>' for image in image_ids(number))
            texts = {"findings": findings, "impression": impression, "indication": indication, "comparison": comparison}
            content = XML.format(number=number, images=images, **texts).encode()
            member = tarfile.TarInfo(f"ecgen-radiology/{number}.xml")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            for image in image_ids(number):
                film(root / "NLMCXR_png" / f"{image}.png")
    return root


def kaggle(root: Path) -> Path:
    root.mkdir(exist_ok=True)
    with (
        (root / "indiana_reports.csv").open("w", newline="", encoding="utf-8") as reports,
        (root / "indiana_projections.csv").open("w", newline="", encoding="utf-8") as projections,
    ):
        told, shown = csv.writer(reports), csv.writer(projections)
        told.writerow(["uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression"])
        shown.writerow(["uid", "filename", "projection"])
        for number, (findings, impression, indication, comparison, _) in STUDIES.items():
            told.writerow([number, "normal", "normal", "", indication, comparison, findings, impression])
            for place, image in reversed(list(enumerate(image_ids(number)))):
                name = re.sub("^CXR(1_)?", "", image) + ".dcm.png"
                shown.writerow([number, name, "Lateral" if place else "Frontal"])
                film(root / "images" / "images_normalized" / name)
    return root


@pytest.fixture
def small_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "published", lambda: PUBLISHED)


LAYOUTS: Mapping[str, Callable[[Path], Path]] = {"openi": openi, "kaggle": kaggle}
both_layouts = pytest.mark.parametrize("layout", LAYOUTS)


def error(root: Path, kind: type[Exception] = DataError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        IUXray(root, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


@both_layouts
def test_a_layout_gives_the_published_split_in_the_published_order(layout: str, tmp_path: Path, small_split: None) -> None:
    data = IUXray(LAYOUTS[layout](tmp_path))
    assert {name: [one.study_id for one in data.targets(name)] for name in SPLITS} == PUBLISHED
    assert data.targets("test")[0].report == "Large effusion."
    assert data.targets("train")[1].report == "The lungs are\n   clear."
    assert [one.subject_id for one in data.inputs("train")] == ["CXR7", "CXR2", "CXR1"]
    assert data.inputs("validate")[0].context == "Fever and chills"


@both_layouts
def test_a_study_has_its_first_two_films_by_name(layout: str, tmp_path: Path, small_split: None) -> None:
    data = IUXray(LAYOUTS[layout](tmp_path))
    (_, three, first) = data.inputs("train")
    assert [path.name.removeprefix("CXR")[:14] for path in three.images] == ["2_IM-0002-1001", "2_IM-0002-2001"]
    assert len(first.images) == 2
    assert three.views == (("unknown", "unknown") if layout == "openi" else ("frontal", "lateral"))


@both_layouts
def test_what_is_left_after_each_rule_is_counted(layout: str, tmp_path: Path, small_split: None) -> None:
    root = LAYOUTS[layout](tmp_path)
    rules = [
        Count("all reports", 7, 14),
        Count("with findings", 6, 12),
        Count("with at least two films", 5, 11),
        Count("their first two films", 5, 10),
    ]
    splits = [Count("train", 3, 6), Count("validate", 1, 2), Count("test", 1, 2)]
    assert list(IUXray(root).counts()) == [*rules, *splits]
    lost = next(root.rglob("*2_IM-0002-2001*"))
    lost.unlink()
    assert f"no file {lost}" in error(root)
    dropped = IUXray(root, missing_images="drop")
    assert dropped.counts()[4:] == (Count("films that are there", 5, 9), Count("train", 3, 5), *splits[1:])
    assert dropped.dropped_images == (lost.name,)


@both_layouts
def test_a_target_is_findings_impression_or_both(layout: str, tmp_path: Path, small_split: None) -> None:
    root = LAYOUTS[layout](tmp_path)
    impression = IUXray(root, target="impression")
    assert [one.study_id for one in impression.targets("train")] == PUBLISHED["train"][1:]
    assert impression.targets("test")[0].report == "Effusion."
    assert Count("with an impression", 4, 8) in impression.counts()
    both = IUXray(root, target="both")
    assert [one.report for one in both.targets("train")] == [
        "Clear apex.",
        "The lungs are\n   clear. No disease.",
        "The heart is normal. Normal chest.",
    ]
    assert Count("with findings or impression", 5, 10) in both.counts()
    assert Count("of these with both", 4, 8) in both.counts()
    assert "None" not in " ".join(one.report for name in SPLITS for one in both.targets(name))


@both_layouts
def test_a_context_is_one_section_or_several_or_none(layout: str, tmp_path: Path, small_split: None) -> None:
    root = LAYOUTS[layout](tmp_path)

    def train(context: Any) -> list[str]:
        return [one.context for one in IUXray(root, context=context).inputs("train")]

    assert train("indication") == train(("indication",)) == ["Fall", "", "Cough"]
    assert train("comparison") == ["Old films", "XXXX", "None."]
    assert train(("indication", "comparison")) == [
        "INDICATION: Fall COMPARISON: Old films",
        "COMPARISON: XXXX",
        "INDICATION: Cough COMPARISON: None.",
    ]
    assert train(("comparison", "indication"))[2] == "COMPARISON: None. INDICATION: Cough"
    assert train("none") == ["", "", ""]


def test_the_same_sections_come_with_r2gens_file(tmp_path: Path, small_split: None) -> None:
    root = openi(tmp_path / "openi")
    data = IUXray(root, target="both", context=("indication", "comparison"))
    theirs = r2gen(tmp_path / "r2gen", data=IUXray(root))
    shutil.copy(root / "NLMCXR_reports.tgz", theirs)
    same = IUXray(theirs, target="both", context=("indication", "comparison"))
    for name in SPLITS:
        assert same.targets(name) == data.targets(name)
        assert [one.context for one in same.inputs(name)] == [one.context for one in data.inputs(name)]
    assert same.counts()[0] == Count("studies of annotation.json", 5, 10)


def r2gen(root: Path, data: IUXray, size: tuple[int, int] = (8, 8)) -> Path:
    """R2Gen's layout of the same studies."""
    annotation: dict[str, list[dict[str, Any]]] = {}
    for key, name in (("train", "train"), ("val", "validate"), ("test", "test")):
        for target in data.targets(name):
            paths = [f"{target.study_id}/{place}.png" for place in (0, 1)]
            annotation.setdefault(key, []).append(
                {"id": target.study_id, "report": target.report, "image_path": paths, "split": key}
            )
            for path in paths:
                film(root / "images" / path, size)
    (root / "annotation.json").write_text(json.dumps(annotation), encoding="utf-8")
    return root


def test_auto_takes_r2gen_before_openi_before_kaggle(tmp_path: Path, small_split: None) -> None:
    root = openi(kaggle(tmp_path))
    assert {path.name for path in IUXray(root).sources()} == {"NLMCXR_reports.tgz", "indiana_projections.csv"}
    assert {path.name for path in IUXray(root, layout="kaggle").sources()} == {"indiana_reports.csv", "indiana_projections.csv"}
    r2gen(root, IUXray(root))
    assert IUXray(root, context="none").sources()[0].name == "annotation.json"
    assert len(IUXray(root, layout="openi").counts()) == 7
    line = error(tmp_path / "images")
    assert all(name in line for name in ("annotation.json", "NLMCXR_reports.tgz", "indiana_reports.csv", "data download iu_xray"))


def test_reports_may_be_unpacked(tmp_path: Path, small_split: None) -> None:
    root = openi(tmp_path)
    packed = IUXray(root)
    with tarfile.open(root / "NLMCXR_reports.tgz") as tar:
        tar.extractall(root, filter="data")
    (root / "NLMCXR_reports.tgz").unlink()
    unpacked = IUXray(root)
    assert all(packed.targets(name) == unpacked.targets(name) and packed.inputs(name) == unpacked.inputs(name) for name in SPLITS)
    assert [path.name for path in unpacked.sources()] == [f"{number}.xml" for number in STUDIES]
    (root / "ecgen-radiology/3.xml").write_bytes(b"<eCitation>")
    assert "3.xml is not XML" in error(root)


@both_layouts
def test_a_published_study_that_is_not_there_is_told(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = LAYOUTS[layout](tmp_path)
    for lost in ("CXR5_IM-0005", "CXR6_IM-0006", "CXR99_IM-0099"):
        monkeypatch.setattr(split, "published", lambda lost=lost: PUBLISHED | {"test": [lost]})
        assert f"1 studies of R2Gen's split are not there with findings and two films; got no {lost}" in error(root)


def test_what_the_rule_leaves_and_nobody_published_is_train(tmp_path: Path) -> None:
    reports = {number: Report({"findings": "Clear."}, (f"CXR{number}_IM-1-1", f"CXR{number}_IM-1-2")) for number in (9, 4, 2, 3)}
    known = {"train": ["CXR3_IM-1"], "validate": ["CXR2_IM-1"], "test": ["CXR4_x"]}
    studies, _ = split.rebuild(tmp_path, reports, ".png", known)
    assert {name: [study.study_id for study in found] for name, found in studies.items()} == {
        "train": ["CXR3_IM-1", "CXR9_IM-1"],
        "validate": ["CXR2_IM-1"],
        "test": ["CXR4_x"],
    }


# Views.


def test_views_come_from_projections_then_the_manifest_then_the_headers(tmp_path: Path, small_split: None) -> None:
    root = openi(tmp_path)
    headers = "imageid,View Position\nCXR4_IM-0004-1001,PA\nCXR4_IM-0004-2001,LL\nCXR7_IM-0007-1001,AP\nCXR7_IM-0007-2001,\n"
    (root / "nlmcxr_dicom_metadata.csv.gz").write_bytes(gzip.compress(headers.encode()))
    data = IUXray(root)
    assert data.inputs("test")[0].views == ("unknown", "lateral")  # PA tells nothing
    assert data.inputs("train")[0].views == ("frontal", "unknown")
    manifest = (
        "image,projection,xml_image_id\nimages/a/0.jpg,Lateral,CXR4_IM-0004-1001\nimages/a/1.jpg,Frontal,CXR4_IM-0004-2001\n"
    )
    (root / "manifest.csv").write_text(manifest)
    assert IUXray(root).inputs("test")[0].views == ("lateral", "frontal")
    projections = "uid,filename,projection\n4,4_IM-0004-1001.dcm.png,Frontal\n1,1_IM-0001-2001.dcm.png,Lateral\n"
    (root / "indiana_projections.csv").write_text(projections)
    data = IUXray(root)
    assert data.inputs("test")[0].views == ("frontal", "frontal")
    assert data.inputs("train")[2].views == ("unknown", "lateral")
    assert [path.name for path in data.sources()] == [
        "NLMCXR_reports.tgz",
        "indiana_projections.csv",
        "manifest.csv",
        "nlmcxr_dicom_metadata.csv.gz",
    ]
    (root / "nlmcxr_dicom_metadata.csv.gz").write_bytes(gzip.compress(headers.encode())[:-9])
    assert "metadata.csv.gz cannot be read; got Compressed file ended" in error(root)


# Mistakes.


def change(root: Path, name: str, old: str, new: str) -> None:
    path = root / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("indiana_reports.csv", "uid,MeSH", "id,MeSH", "indiana_reports.csv: header: no column uid; got columns id, MeSH"),
        ("indiana_reports.csv", "\n3,", "\n2,", "line 5: field uid; got 2; expected each report once"),
        ("indiana_reports.csv", "\n3,", "\nthree,", "field uid; got 'three'; expected a number"),
        ("indiana_reports.csv", "Hazy left base.", '"Hazy', "indiana_reports.csv: line 5 is not CSV"),
        ("indiana_reports.csv", "Hazy left base.", "a,b,c,d", "line 5; got 11 cells; expected 8, as the header has"),
        ("indiana_projections.csv", "3_IM-0003-1001.dcm.png", "../../etc/passwd", "field filename; got '../../etc/passwd'"),
        ("indiana_projections.csv", "3_IM-0003-1001.dcm.png", "/etc/passwd", "field filename; got '/etc/passwd'"),
        ("indiana_projections.csv", "3_IM-0003-1001.dcm.png", "a/b.png", "field filename; got 'a/b.png'"),
        ("indiana_projections.csv", "3_IM-0003-1001.dcm.png", "3_IM-0003-2001.dcm.png", "expected the name of a film, once"),
        ("indiana_projections.csv", "Lateral", "Oblique", "field projection; got 'Oblique'"),
        ("indiana_projections.csv", "projection", "view", "header: no column projection; got columns uid, filename, view"),
    ],
)
def test_a_wrong_table_of_kaggle_is_one_line(name: str, old: str, new: str, told: str, tmp_path: Path, small_split: None) -> None:
    root = kaggle(tmp_path)
    change(root, name, old, new)
    line = error(root)
    assert line.startswith(str(root))
    assert told in line


@pytest.mark.parametrize(("name", "what"), [("indiana_projections.csv", "film"), ("indiana_reports.csv", "report")])
def test_a_table_of_kaggle_with_a_header_only_is_told_by_its_own_name(
    name: str, what: str, tmp_path: Path, small_split: None
) -> None:
    root = kaggle(tmp_path)
    path = root / name
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    told = f"{path} holds no {what}; expected one a line. Hint: download the pair of CSV files again"
    assert error(root) == error(root, layout="kaggle") == told


@both_layouts
def test_a_folder_without_films_is_told(layout: str, tmp_path: Path, small_split: None) -> None:
    root = LAYOUTS[layout](tmp_path)
    shutil.rmtree(root / ("NLMCXR_png" if layout == "openi" else "images"))
    assert "holds no folder of films; expected " in error(root)


def test_kaggles_pair_needs_both_files(tmp_path: Path, small_split: None) -> None:
    root = kaggle(tmp_path)
    (root / "indiana_projections.csv").unlink()
    assert "indiana_projections.csv cannot be read; got No such file" in error(root)


def test_an_indication_that_a_spreadsheet_damaged_is_empty(tmp_path: Path, small_split: None) -> None:
    root = kaggle(tmp_path)
    change(root, "indiana_reports.csv", "Pain", "#NAME?")
    assert IUXray(root).inputs("test")[0].context == ""


def test_films_of_a_report_with_a_hostile_name_are_refused(tmp_path: Path, small_split: None) -> None:
    root = openi(tmp_path)
    sections = dict.fromkeys(("findings", "impression", "indication", "comparison"), "")
    text = XML.format(number=4, images='<parentImage id="../../etc/passwd"/>', **sections)
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("ecgen-radiology/4.xml")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    assert "field parentImage, attribute id; got '../../etc/passwd'" in error(root)


# Shape.


@pytest.fixture
def squashed(tmp_path: Path, small_split: None) -> Path:
    """R2Gen's layout, whose first test film was tall, second wide, and whose first train film nobody measured."""
    root = r2gen(tmp_path / "r2gen", IUXray(openi(tmp_path / "openi")), size=(16, 16))
    rows = ["image,projection,dicom_rows,dicom_columns"]
    for path in sorted((root / "images").rglob("*.png")):
        rows.append(
            f"images/{path.relative_to(root / 'images').as_posix()},Frontal," + ("200,100" if path.stem == "0" else "100,125")
        )
    rows[1] = rows[1].replace("200,100", ",")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


def test_a_squashed_film_gets_its_shape_back_and_loses_no_pixel(squashed: Path, tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(squashed / "images/CXR4_IM-0004/0.png")
    data = IUXray(squashed, tmp_path / "cache", unsquash=True, context="none")
    tall, wide = (np.asarray(Image.open(path)) for path in data.inputs("test")[0].images)
    assert (tall.shape, wide.shape) == ((32, 16), (16, 20))
    assert np.array_equal(tall, np.asarray(Image.fromarray(ramp).resize((16, 32), Image.Resampling.BILINEAR)))
    assert Count("films with their shape restored", 5, 9) in data.counts()
    left = next(one for one in data.inputs("train") if one.study_id == "CXR1_1_IM-0001")
    assert [Image.open(path).size for path in left.images] == [(16, 16), (20, 16)]
    assert all(path.is_relative_to(tmp_path / "cache") for name in SPLITS for one in data.inputs(name) for path in one.images)
    assert set((squashed / "images").rglob("*.png")) <= set(data.sources())
    assert data.inputs("test")[0].views == ("frontal", "frontal")


def test_restored_films_are_used_again_and_made_anew_when_they_change(squashed: Path, tmp_path: Path) -> None:
    first = IUXray(squashed, tmp_path / "cache", unsquash=True, context="none").inputs("test")[0].images[0]
    before = first.stat().st_mtime_ns
    assert IUXray(squashed, tmp_path / "cache", unsquash=True, context="none").inputs("test")[0].images[0] == first
    assert first.stat().st_mtime_ns == before
    film(squashed / "images/CXR4_IM-0004/0.png", (32, 32))
    other = IUXray(squashed, tmp_path / "cache", unsquash=True, context="none").inputs("test")[0].images[0]
    assert Image.open(other).size == (32, 64)


@pytest.mark.heavy
def test_restored_films_have_the_same_ids_wherever_root_and_store_lie(squashed: Path, tmp_path: Path) -> None:
    component = Catalogue.load().resolve("datasets", {"name": "iu_xray", "unsquash": True, "context": "none"}, "dataset")
    first = read_dataset(Store(tmp_path / "store"), component, squashed)
    moved = shutil.copytree(squashed, tmp_path / "else" / "where" / "moved")
    second = read_dataset(Store(tmp_path / "other" / "store"), component, moved)
    assert first.splits == second.splits
    assert first.folder != second.folder
    film(squashed / "images/CXR4_IM-0004/0.png", (20, 20))
    changed = read_dataset(Store(tmp_path / "store"), component, squashed)
    assert changed.splits["test"].inputs != first.splits["test"].inputs
    assert changed.splits["train"] == first.splits["train"]


def test_restoring_needs_r2gens_layout_and_its_manifest(squashed: Path, tmp_path: Path) -> None:
    assert "got layout openi" in error(tmp_path / "openi", ConfigError, unsquash=True)
    (squashed / "manifest.csv").unlink()
    assert "got no manifest.csv that tells shapes" in error(
        squashed, ConfigError, unsquash=True, context="none", cache_dir=tmp_path
    )


@pytest.mark.parametrize(
    ("old", "new"), [("200,100", "-1,100"), ("200,100", "0,100"), ("200,100", "1e3,100"), ("200,100", "9000,1")]
)
def test_a_shape_that_is_none_is_told(squashed: Path, old: str, new: str) -> None:
    change(squashed, "manifest.csv", old, new)
    assert "manifest.csv: line" in error(squashed, context="none")


def test_the_longer_side_grows() -> None:
    assert restored_size((256, 256), (2828, 2320)) == (312, 256)
    assert restored_size((256, 256), (2320, 2828)) == (256, 312)
    assert restored_size((256, 256), (500, 500)) == (256, 256)


# The contract.


class OfALayout:
    """The contract over an invented collection."""

    layout: ClassVar[str]
    root: ClassVar[Path | None] = None

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _collection(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(split, "published", lambda: PUBLISHED)
            cls.root = LAYOUTS[cls.layout](tmp_path_factory.mktemp(cls.layout))
            yield


class TestIUXrayOfOpenI(OfALayout, DatasetContract):
    component = IUXray
    layout = "openi"
    options = {"target": "both", "context": ["indication", "comparison"]}


class TestIUXrayOfKaggle(OfALayout, DatasetContract):
    component = IUXray
    layout = "kaggle"


# The real files; their films are not at hand in these layouts, and are made here.


def real() -> Path:
    folder = Path(os.environ.get("RRGBENCH_DATA", "absent"))
    if not (folder / "openi").is_dir() or not (folder / "iu_xray").is_dir():
        pytest.skip("RRGBENCH_DATA holds no openi and iu_xray")
    return folder


@pytest.fixture(scope="module")
def real_roots(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    source = real() / "openi"
    root = tmp_path_factory.mktemp("real")
    film(root / "film.png")
    (root / "openi" / "NLMCXR_png").mkdir(parents=True)
    (root / "kaggle" / "images").mkdir(parents=True)
    shutil.copy(source / "NLMCXR_reports.tgz", root / "openi")
    for report in read_reports(source / "NLMCXR_reports.tgz").values():
        for image in report.images:
            os.link(root / "film.png", root / "openi" / "NLMCXR_png" / f"{image}.png")
    for name in ("indiana_reports.csv", "indiana_projections.csv"):
        shutil.copy(source / name, root / "kaggle")
    with (source / "indiana_projections.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            os.link(root / "film.png", root / "kaggle" / "images" / row["filename"])
    return {layout: root / layout for layout in LAYOUTS}


@pytest.mark.heavy
@both_layouts
def test_the_real_collection_equals_r2gens_file_study_for_study_in_its_order(layout: str, real_roots: Mapping[str, Path]) -> None:
    theirs = IUXray(real() / "iu_xray", context=("indication", "comparison"))
    ours = IUXray(real_roots[layout], context=("indication", "comparison"))
    for name in SPLITS:
        assert ours.targets(name) == theirs.targets(name)
    differ = {
        one.study_id
        for name in SPLITS
        for one, other in zip(ours.inputs(name), theirs.inputs(name), strict=True)
        if one.context != other.context
    }
    # Kaggle's file has "#NAME?" for three indications.
    assert differ == (set() if layout == "openi" else {"CXR3477_IM-1690", "CXR1555_IM-0362", "CXR3784_IM-1898"})


@pytest.mark.heavy
def test_the_real_counts_are_those_that_were_published(real_roots: Mapping[str, Path]) -> None:
    def told(layout: str) -> list[tuple[int, int]]:
        return [(one.studies, one.images) for one in IUXray(real_roots[layout]).counts()]

    splits = [(2069, 4138), (296, 592), (590, 1180)]
    assert told("openi") == [(3955, 7470), (3425, 6473), (2955, 6091), (2955, 5910), *splits]
    assert told("kaggle") == [(3851, 7466), (3337, 6469), (2955, 6087), (2955, 5910), *splits]
    impressions = IUXray(real_roots["openi"], target="impression").counts()[4:]
    assert [(one.rule, one.studies) for one in impressions] == [
        ("with an impression", 2949),
        ("train", 2063),
        ("validate", 296),
        ("test", 590),
    ]


@pytest.mark.heavy
def test_the_real_views_are_known_where_a_table_tells(real_roots: Mapping[str, Path], tmp_path: Path) -> None:
    def views(root: Path) -> Counter[str]:
        data = IUXray(root)
        return Counter(view for name in SPLITS for one in data.inputs(name) for view in one.views)

    assert views(real_roots["kaggle"]) == {"frontal": 2965, "lateral": 2945}
    shutil.copytree(real_roots["openi"], tmp_path / "openi", copy_function=os.link)
    shutil.copy(real() / "openi" / "nlmcxr_dicom_metadata.csv.gz", tmp_path / "openi")
    assert views(tmp_path / "openi") == {"unknown": 4961, "lateral": 650, "frontal": 299}
    shutil.copy(real() / "openi" / "indiana_projections.csv", tmp_path / "openi")
    assert views(tmp_path / "openi") == {"frontal": 2965, "lateral": 2943, "unknown": 2}


def test_the_published_ids_are_those_of_r2gens_file() -> None:
    annotation = json.loads((real() / "iu_xray" / "annotation.json").read_text(encoding="utf-8"))
    assert {key: [item["id"] for item in items] for key, items in annotation.items()} == {
        key: split.published()[name] for key, name in (("train", "train"), ("val", "validate"), ("test", "test"))
    }


def test_the_archive_of_reports_is_the_one_that_is_published() -> None:
    content = (real() / "openi" / "NLMCXR_reports.tgz").read_bytes()
    reports, films = IUXray.downloads
    assert (reports.sha256, reports.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    images = [image for report in read_reports(real() / "openi" / "NLMCXR_reports.tgz").values() for image in report.images]
    assert len(images) == 7470
    assert all(re.fullmatch(films.members, f"{image}.png") for image in images)
