"""The IU X-ray data set: what it gives, and one line for each thing that can be wrong with its files."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from rrgbench_datasets import IUXray, openi

from rrgbench import SPLITS, ConfigError, DataError

XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{number}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">None.</AbstractText><AbstractText Label="INDICATION">{indication}</AbstractText>
<AbstractText Label="FINDINGS">secret</AbstractText><AbstractText Label="IMPRESSION"/>
</Abstract></Article></MedlineCitation></eCitation>"""


def study(number: int, split: str, films: int = 2) -> dict[str, Any]:
    name = f"CXR{number}_IM-{number:04}"
    paths = [f"{name}/{film}.png" for film in range(films)]
    return {"id": name, "report": f"Heart {number} is normal. Clear/quiet lungs.", "image_path": paths, "split": split}


def toy() -> dict[str, Any]:
    return {"train": [study(1, "train"), study(2, "train", 1)], "val": [study(3, "val")], "test": [study(4, "test")]}


def write_archive(root: Path, reports: dict[str, bytes]) -> None:
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as tar:
        for name, content in reports.items():
            member = tarfile.TarInfo(f"ecgen-radiology/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def xmls(**changed: bytes) -> dict[str, bytes]:
    made = {
        f"{n}.xml": XML.format(number=n, indication=f"Pain &amp;\n  cough {n}" if n > 1 else "").encode() for n in range(1, 6)
    }
    return made | {f"{name.removeprefix('n')}.xml": content for name, content in changed.items()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    annotation = toy()
    write(tmp_path, annotation)
    for items in annotation.values():
        for item in items:
            for path in item["image_path"]:
                film = tmp_path / "images" / path
                film.parent.mkdir(parents=True, exist_ok=True)
                film.with_suffix(".jpg").write_bytes(b"film")
    write_archive(tmp_path, xmls())
    return tmp_path


def write(root: Path, annotation: object) -> None:
    (root / "annotation.json").write_text(json.dumps(annotation), encoding="utf-8")


def error(root: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        IUXray(root, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_inputs_hold_films_views_and_the_indication_and_never_the_findings(root: Path) -> None:
    data = IUXray(root)
    (given,) = data.inputs("test")
    assert (given.study_id, given.subject_id, given.context) == ("CXR4_IM-0004", "CXR4", "Pain & cough 4")
    assert given.images == (root / "images/CXR4_IM-0004/0.jpg", root / "images/CXR4_IM-0004/1.jpg")
    assert given.views == ("unknown", "unknown")
    assert data.inputs("train")[0].context == ""
    assert all("secret" not in item.context for split in SPLITS for item in data.inputs(split))


def test_targets_stand_in_the_order_of_inputs_and_val_is_called_validate(root: Path) -> None:
    data = IUXray(root)
    for split in SPLITS:
        assert [item.study_id for item in data.inputs(split)] == [item.study_id for item in data.targets(split)]
    assert data.targets("validate")[0].report == "Heart 3 is normal. Clear/quiet lungs."
    assert IUXray.license == "open"


def test_r2gen_text_cleans_the_train_split_only(root: Path) -> None:
    data = IUXray(root, text="r2gen")
    assert data.targets("train")[0].report == "heart 1 is normal . clearquiet lungs ."
    assert data.targets("validate")[0].report == "Heart 3 is normal. Clear/quiet lungs."
    assert data.targets("test")[0].report == "Heart 4 is normal. Clear/quiet lungs."


def test_a_film_is_found_under_its_own_suffix_first(root: Path) -> None:
    (root / "images/CXR4_IM-0004/0.png").write_bytes(b"film")
    (given,) = IUXray(root).inputs("test")
    assert [path.name for path in given.images] == ["0.png", "1.jpg"]


def test_views_come_from_the_manifest_and_are_unknown_without(root: Path) -> None:
    rows = "image,projection\nimages/CXR4_IM-0004/0.jpg,Lateral\nimages/CXR4_IM-0004/1.jpg,Frontal\nimages/CXR3_IM-0003/0.jpg,\n"
    (root / "manifest.csv").write_text(rows, encoding="utf-8")
    data = IUXray(root)
    assert data.inputs("test")[0].views == ("lateral", "frontal")
    assert data.inputs("validate")[0].views == ("unknown", "unknown")


def test_sources_are_the_files_that_were_read(root: Path) -> None:
    assert [path.name for path in IUXray(root).sources()] == ["annotation.json", "NLMCXR_reports.tgz"]
    (root / "manifest.csv").write_text("image,projection\n", encoding="utf-8")
    assert [path.name for path in IUXray(root, context="none").sources()] == ["annotation.json", "manifest.csv"]


def test_without_context_no_archive_is_needed(root: Path) -> None:
    (root / "NLMCXR_reports.tgz").unlink()
    assert IUXray(root, context="none").inputs("test")[0].context == ""
    line = error(root)
    assert "NLMCXR_reports.tgz: the archive of reports is missing" in line
    assert "set the option context to none" in line


def test_another_annotation_file_can_be_named_but_not_one_outside_the_root(root: Path) -> None:
    (root / "annotation.json").rename(root / "mine.json")
    assert len(IUXray(root, annotation="mine.json").inputs("train")) == 2
    with pytest.raises(ConfigError, match="option annotation"):
        IUXray(root, annotation="../mine.json")


def change(**fields: Any) -> dict[str, Any]:
    annotation = toy()
    annotation["test"][0] |= fields
    return annotation


def without(field: str) -> dict[str, Any]:
    annotation = toy()
    del annotation["test"][0][field]
    return annotation


def extend(key: str, item: dict[str, Any]) -> dict[str, Any]:
    annotation = toy()
    annotation[key].append(item)
    return annotation


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        ([], "top level; got a list; expected an object"),
        ({"train": [], "val": []}, "top level: missing test"),
        ({**toy(), "  ": []}, "rename or remove the blank key"),
        ({**toy(), "valid": []}, "top level: unknown keys; got keys 'train', 'val', 'test', 'valid'"),
        ({**toy(), "val": []}, "split val; got an empty list"),
        ({**toy(), "val": {}}, "split val; got an object; expected a list"),
        ({**toy(), "test": [7]}, "split test, item 0; got a number; expected an object"),
        (without("id"), "field id is missing; got fields report, image_path, split"),
        (without("report"), "field report is missing"),
        (without("image_path"), "field image_path is missing"),
        (change(id=4), "field id; got a number; expected text"),
        (change(id="study 4"), "field id; got 'study 4'; expected the like of CXR2384_IM-0942"),
        (change(report=None), "field report; got null; expected text"),
        (change(report=" \n"), "split test, item 0 (CXR4_IM-0004): field report is empty"),
        (change(report="\ud800"), "field report; got a lone surrogate"),
        (change(image_path="CXR4_IM-0004/0.png"), "field image_path; got text; expected a list"),
        (change(image_path=[]), "expected at least one film"),
        (change(image_path=[1]), "field image_path; got a list with a number"),
        (change(image_path=["CXR4_IM-0004/0.png"] * 2), "none of them twice"),
        (change(image_path=["../0.png"]), "got '../0.png'; expected a path inside the folder"),
        (change(image_path=["a/../../0.png"]), "expected a path inside the folder"),
        (change(image_path=["/etc/passwd"]), "got '/etc/passwd'; expected a path inside the folder"),
        (change(image_path=["a\\0.png"]), "expected a path inside the folder"),
        (change(image_path=["a\x00.png"]), "expected a path inside the folder"),
        (change(image_path=[""]), "expected a path inside the folder"),
        (change(image_path=["CXR1_IM-0001/0.png"]), "CXR1_IM-0001/0.png, which CXR1_IM-0001 has; expected own films"),
        (change(split="train"), "field split; got 'train'; expected 'test', where the item stands"),
        (extend("test", study(4, "test")), "split test, item 1 (CXR4_IM-0004): the study stands twice"),
        (extend("test", study(1, "test")), "split test, item 1 (CXR1_IM-0001): the study stands twice"),
        (extend("test", study(1, "test") | {"id": "CXR1_IM-0009"}), "subject CXR1 stands in two splits; got train and test"),
    ],
)
def test_a_wrong_annotation_is_one_line_that_names_file_and_field(root: Path, annotation: object, told: str) -> None:
    write(root, annotation)
    line = error(root)
    assert line.startswith(f"{root / 'annotation.json'}: ")
    assert told in line


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"train": [', "is not JSON"),
        (b"", "is empty; expected JSON"),
        (b"[" * 100_000, "is not JSON; got too many levels"),
        (b'{"train": [], "train": []}', "key 'train' stands twice"),
        (b'{"train": "caf\xe9"}', "is not UTF-8; got byte 0xe9 at offset 14"),
    ],
)
def test_an_annotation_that_cannot_be_read_is_one_line(root: Path, content: bytes, told: str) -> None:
    (root / "annotation.json").write_bytes(content)
    assert told in error(root)


def test_a_missing_annotation_root_or_images_folder_is_told(root: Path) -> None:
    assert "annotation.json cannot be read; got No such file or directory" in error(root / "nowhere")
    shutil.rmtree(root / "images")
    assert "images is not a folder" in error(root)


def test_a_missing_film_is_told_with_its_study_and_can_be_dropped(root: Path) -> None:
    (root / "images/CXR4_IM-0004/1.jpg").unlink()
    line = error(root)
    assert "split test, item 0 (CXR4_IM-0004): a film is missing" in line
    assert str(root / "images/CXR4_IM-0004/1.png") in line
    assert "missing_images to drop" in line
    data = IUXray(root, missing_images="drop")
    assert [path.name for path in data.inputs("test")[0].images] == ["0.jpg"]
    assert data.inputs("test")[0].views == ("unknown",)
    assert data.dropped_images == ("CXR4_IM-0004/1.png",)


def test_a_study_keeps_at_least_one_film(root: Path) -> None:
    shutil.rmtree(root / "images/CXR4_IM-0004")
    assert "no film that is there" in error(root, missing_images="drop")


def test_an_empty_film_is_told(root: Path) -> None:
    (root / "images/CXR4_IM-0004/1.jpg").write_bytes(b"")
    assert "CXR4_IM-0004/1.jpg; got an empty file" in error(root, missing_images="drop")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"name,projection\n", "header: no column image; got columns name, projection"),
        (b"", "is empty; expected the columns image, projection"),
        (b"image,projection\nimages/a/0.jpg,Oblique\n", "line 2: field projection; got 'Oblique'"),
        (b'image,projection\n"images/a', "line 2 is not CSV"),
        (b"image,projection\n\xff", "line 2 is not UTF-8; got byte 0xff at offset 17"),
    ],
)
def test_a_wrong_manifest_is_one_line(root: Path, content: bytes, told: str) -> None:
    (root / "manifest.csv").write_bytes(content)
    line = error(root)
    assert line.startswith(str(root / "manifest.csv"))
    assert told in line


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><eCitation><uId id="CXR4"/>&b;</eCitation>'
FETCH = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><eCitation><uId id="CXR4"/>&a;</eCitation>'


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (BOMB, "declares a document type"),
        (FETCH, "declares a document type"),
        (BOMB.decode().encode("utf-16"), "declares a document type"),
        (b"<eCitation><uId id='CXR4'/>\xe9</eCitation>", "is not XML in UTF-8"),
        (b"<eCitation><uId id='CXR4'/>", "is not XML in UTF-8"),
        (b"", "is not XML in UTF-8"),
        (b"<eCitation><uId id='CXR9'/></eCitation>", "field uId, attribute id; got CXR9; expected CXR4"),
        (b"<eCitation/>", "got nothing; expected CXR4"),
        (b" " * (1 << 21), "is too large; got 2097152 bytes"),
    ],
)
def test_a_hostile_or_broken_report_in_the_archive_is_one_line(root: Path, content: bytes, told: str) -> None:
    write_archive(root, xmls(n4=content))
    line = error(root)
    assert line.startswith(f"{root / 'NLMCXR_reports.tgz'}: member ecgen-radiology/4.xml")
    assert told in line


def test_a_report_that_is_missing_or_a_link_is_told(root: Path) -> None:
    reports = xmls()
    del reports["4.xml"]
    write_archive(root, reports)
    assert "1 reports of the data set are not in the archive; got no 4.xml" in error(root)
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("ecgen-radiology/4.xml")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    assert "4 reports of the data set are not in the archive" in error(root)


def test_a_report_that_stands_twice_is_told(root: Path) -> None:
    write_archive(root, xmls() | {"04.xml": xmls()["4.xml"]})
    assert "report 4 stands twice" in error(root)


def test_a_broken_archive_is_told(root: Path) -> None:
    archive = root / "NLMCXR_reports.tgz"
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], b"not an archive", b"", gzip.compress(b"no tar" * 500)):
        archive.write_bytes(content)
        assert str(archive) in error(root)


def test_an_archive_that_unpacks_to_too_much_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openi, "_TOTAL_BYTES", 4096)
    assert "is too large; expected at most 4096 bytes, unpacked" in error(root)


def test_nothing_is_unpacked_beside_the_archive(root: Path) -> None:
    before = sorted(root.rglob("*"))
    IUXray(root)
    assert sorted(root.rglob("*")) == before


def real(name: str) -> Path:
    folder = Path(os.environ.get("RRGBENCH_DATA", "absent")) / name
    if not folder.is_dir():
        pytest.skip(f"RRGBENCH_DATA holds no {name}")
    return folder


def test_the_real_data_is_r2gens_split_with_indications_and_views() -> None:
    start = time.perf_counter()
    data = IUXray(real("iu_xray"))
    assert time.perf_counter() - start < 5.0
    assert [len(data.inputs(split)) for split in SPLITS] == [2069, 296, 590]
    assert sum(bool(study.context) for study in data.inputs("test")) == 582
    studies = [study for split in SPLITS for study in data.inputs(split)]
    assert len({study.subject_id for study in studies}) == 2955
    assert sum(len(study.images) for study in studies) == 5909
    assert {view for study in studies for view in study.views} == {"frontal", "lateral"}
    assert not data.dropped_images


def test_the_published_annotation_with_png_names_works_once_the_missing_view_is_dropped() -> None:
    root = real("iu_xray")
    assert "CXR2084_IM-0715-1001" in error(root, annotation="annotation_png_names.json", context="none")
    data = IUXray(root, annotation="annotation_png_names.json", context="none", missing_images="drop")
    assert data.dropped_images == ("CXR2084_IM-0715-1001/1.png",)
    plain = IUXray(root, context="none")
    assert all(data.inputs(split) == plain.inputs(split) for split in SPLITS)


def test_the_small_real_data_has_no_manifest_and_unknown_views() -> None:
    data = IUXray(real("iu_xray_mini"))
    assert [len(data.inputs(split)) for split in SPLITS] == [30, 15, 30]
    assert {view for study in data.inputs("train") for view in study.views} == {"unknown"}


def test_a_really_malformed_annotation_is_told(tmp_path: Path) -> None:
    shutil.copy(real("openi") / "annotation_malformed_blank_test_key.json", tmp_path / "annotation.json")
    line = error(tmp_path)
    assert "annotation.json: top level: missing test; got keys 'train', 'val', ' '" in line
    assert "rename or remove the blank key" in line
