"""The data set that reads the user's own table: formats, the column map, splits, films and labels."""

from __future__ import annotations

import builtins
import csv
import gzip
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from rrgbench_datasets import Table

from rrgbench import SPLITS, ConfigError, DataError, ManyErrors
from rrgbench.testing import DatasetContract


def _layouts() -> ModuleType:
    folder = Path(__file__).parent.parent / "layouts"
    spec = importlib.util.spec_from_file_location(
        "rrgbench_layouts", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    if spec.name not in sys.modules:
        sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[spec.name]


layouts = _layouts()
MAP: dict[str, Any] = {"views": "views", "context": "context"}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return layouts.phantom_studies(tmp_path_factory.mktemp("phantom"), studies=20)


class _OnATable(DatasetContract):
    component = Table
    write: Any

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def lay(cls, studies: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.root = tmp_path_factory.mktemp("table")
        cls.write(cls.root, studies)


class TestCSV(_OnATable):
    options = {"columns": MAP, "labels": "finding_"}
    write = staticmethod(layouts.write_csv)


class TestJSONLines(_OnATable):
    options = {"columns": MAP, "labels": "finding_", "file": "table.jsonl", "text": "r2gen"}
    write = staticmethod(layouts.write_jsonl)


class TestParquet(_OnATable):
    options = {"columns": MAP, "labels": "finding_", "file": "table.parquet"}
    write = staticmethod(layouts.write_parquet)


class TestADrawnSplit(_OnATable):
    options = {"columns": {**MAP, "split": None}, "split": "subject", "fractions": [0.5, 0.25, 0.25]}
    write = staticmethod(layouts.write_csv)


del _OnATable


def sides(made: Table) -> dict[str, tuple[str, Any, Any]]:
    return {
        asked.study_id: (split, asked, judged)
        for split in SPLITS
        for asked, judged in zip(made.inputs(split), made.targets(split), strict=True)
    }


def told(root: Path, **options: Any) -> str:
    with pytest.raises((ConfigError, DataError, ManyErrors)) as caught:
        Table(root, **options)
    return str(caught.value)


ROWS = [
    {"study_id": "1", "subject_id": "a", "images": "1.png", "report": "Heart is normal.", "split": "train"},
    {"study_id": "2", "subject_id": "b", "images": "2.png", "report": "Lungs are clear.", "split": "val"},
    {"study_id": "3", "subject_id": "c", "images": "3.png", "report": "No effusion.", "split": "test"},
]


def write(root: Path, rows: list[dict[str, Any]] | None = None, name: str = "table.csv", **more: Any) -> Path:
    """A small table; ``more`` adds columns with one value each, or a list of values."""
    rows = [dict(row) for row in (ROWS if rows is None else rows)]
    for column, value in more.items():
        for place, row in enumerate(rows):
            row[column] = value[place] if isinstance(value, list) else value
    with (root / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for number in range(1, 9):
        (root / f"{number}.png").write_bytes(b"film")
    return root


def test_every_format_gives_the_same_studies(studies: list[Any], tmp_path: Path) -> None:
    layouts.write_csv(tmp_path, studies)
    layouts.write_csv(tmp_path, studies, "export.tsv", delimiter="\t", bom=True)
    layouts.write_csv(tmp_path, studies, "other.csv", delimiter="|")
    layouts.write_jsonl(tmp_path, studies)
    layouts.write_parquet(tmp_path, studies)
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress((tmp_path / "table.csv").read_bytes()))
    (tmp_path / "mixed.csv").write_bytes(
        (tmp_path / "table.csv").read_bytes().replace(b"\r\n", b"\n", 7).replace(b"\r\n", b"\r", 5)
    )
    made = [Table(tmp_path, file=name, columns=MAP, labels="finding_") for name in ("table.csv", "export.tsv", "table.jsonl")]
    made += [
        Table(tmp_path, file=name, columns=MAP, labels="finding_") for name in ("table.parquet", "table.csv.gz", "mixed.csv")
    ]
    made.append(Table(tmp_path, file="other.csv", columns=MAP, labels="finding_", delimiter="|"))
    assert all(sides(one) == sides(made[0]) for one in made)
    found = sides(made[0])
    assert len(found) == 20
    for one in studies:
        split, asked, judged = found[f"A{one.number:05}"]
        assert (split, asked.subject_id, asked.context) == (one.split, f"M{one.subject:04}", one.context)
        assert (judged.report, judged.labels) == (one.report, one.labels)
        assert asked.views == tuple(view for _, view in one.films)
        assert all(path.is_file() for path in asked.images)
    assert [path.name for path in made[0].sources()] == ["table.csv"]


def test_other_encodings_are_read_where_they_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    for encoding in ("utf-16", "cp1252", "latin-1"):
        text = (tmp_path / "table.csv").read_text("utf-8").replace("normal", "größer")
        (tmp_path / "odd.csv").write_bytes(text.encode(encoding))
        assert Table(tmp_path, file="odd.csv", encoding=encoding).targets("train")[0].report == "Heart is größer."
    assert "is not utf-16" in told(write(tmp_path), encoding="utf-16")


def test_the_column_map_names_any_columns_and_joins_several(tmp_path: Path) -> None:
    rows = [
        {
            "acc": row["study_id"],
            "mrn": row["subject_id"],
            "pa": row["images"],
            "lat": lat,
            "befund": row["report"],
            "set": row["split"],
        }
        for row, lat in zip(ROWS, ("4.png", "", "5.png"), strict=True)
    ]
    write(tmp_path, rows, frage="Husten?", anamnese=["Raucher.", "", "  seit\n 1990 "], urteil=["Gut.", "", "Gut."])
    made = Table(
        tmp_path,
        columns={
            "study_id": "acc",
            "subject_id": "mrn",
            "images": ["pa", "lat"],
            "report": ["befund", "urteil"],
            "context": ["frage", "anamnese"],
            "split": "set",
        },
        image_views=("frontal", "lateral"),
    )
    found = sides(made)
    assert {name: judged.report for name, (_, _, judged) in found.items()} == {
        "1": "Heart is normal. Gut.",
        "2": "Lungs are clear.",
        "3": "No effusion. Gut.",
    }
    assert [asked.context for _, asked, _ in found.values()] == ["Husten? Raucher.", "Husten?", "Husten? seit 1990"]
    assert [asked.views for _, asked, _ in found.values()] == [("frontal", "lateral"), ("frontal",), ("frontal", "lateral")]


def test_rows_of_films_are_gathered_and_must_agree(tmp_path: Path) -> None:
    rows = [*ROWS, {**ROWS[0], "images": "4.png"}]
    write(tmp_path, rows, views=["PA", "AP", "", "LAT"], prior=["", "1", "", ""])
    assert "the study stands twice; got also at line 2" in told(tmp_path)
    made = Table(tmp_path, row="film", columns={"views": "views"})
    (asked,) = made.inputs("train")
    assert ([path.name for path in asked.images], asked.views) == (["1.png", "4.png"], ("frontal", "lateral"))
    assert made.inputs("test")[0].views == ("unknown",)
    line = told(write(tmp_path, [*ROWS, {**ROWS[0], "images": "4.png", "report": "Something secret."}]), row="film")
    assert "line 5 (1): field report; got another value; expected as at line 2" in line and "secret" not in line
    assert "film 1.png stands twice" in told(write(tmp_path, [*ROWS, ROWS[0]]), row="film")


def test_a_subject_without_a_column_is_its_study_only_where_the_user_says_so(tmp_path: Path) -> None:
    write(tmp_path, [{k: v for k, v in row.items() if k != "subject_id"} for row in ROWS])
    assert "no column subject_id" in told(tmp_path)
    made = Table(tmp_path, columns={"subject_id": None})
    assert [made.inputs(split)[0].subject_id for split in SPLITS] == ["1", "2", "3"]


def test_three_files_are_three_splits(tmp_path: Path) -> None:
    names = {}
    for row, split in zip(ROWS, SPLITS, strict=True):
        names[split] = f"{split}.csv"
        write(tmp_path, [{k: v for k, v in row.items() if k != "split"}], names[split])
    made = Table(tmp_path, file=names)
    assert [made.inputs(split)[0].study_id for split in SPLITS] == ["1", "2", "3"]
    assert [path.name for path in made.sources()] == ["train.csv", "validate.csv", "test.csv"]
    assert "got files for train; expected one for each split" in told(tmp_path, file={"train": "train.csv"})
    assert "expected one file, where the split is drawn" in told(tmp_path, file=names, split="subject")


def test_a_drawn_split_goes_by_subject_and_is_the_same_whoever_else_is_there(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "study_id": str(n), "subject_id": f"m{n // 2}", "images": f"{n}.png"} for n in range(800)]
    write(tmp_path, rows)
    for number in range(800):
        (tmp_path / f"{number}.png").write_bytes(b"film")
    made = sides(Table(tmp_path, split="subject"))
    shares = {split: sum(found == split for found, _, _ in made.values()) / 800 for split in SPLITS}
    assert abs(shares["train"] - 0.8) < 0.06 and abs(shares["validate"] - 0.1) < 0.05 and abs(shares["test"] - 0.1) < 0.05
    assert all(made[str(n)][0] == made[str(n + 1)][0] for n in range(0, 800, 2))
    write(tmp_path, rows[::-2])
    assert all(made[name][0] == split for name, (split, _, _) in sides(Table(tmp_path, split="subject")).items())
    other = sides(Table(tmp_path, split="subject", split_seed=1))
    assert any(made[name][0] != split for name, (split, _, _) in other.items())
    assert "option fractions; got (0.8, 0.1, 0.2), which is 1.1 in all" in told(
        tmp_path, split="subject", fractions=(0.8, 0.1, 0.2)
    )


def test_words_for_splits_views_and_labels_can_be_named(tmp_path: Path) -> None:
    rows = [*ROWS, {**ROWS[0], "study_id": "4", "subject_id": "d", "images": "4.png"}]
    write(
        tmp_path, rows, split=["0", "1", "2", "later"], views=["ap erect", "PA", "Lateral", "pa"], f_edema=["yes", "", "0", "1"]
    )
    options: dict[str, Any] = {
        "columns": {"views": "views"},
        "split_names": {"0": "train", "1": "val", "2": "test", "later": None},
    }
    assert "name it in the option view_names" in told(tmp_path, **options)
    options["view_names"] = {"ap erect": "frontal"}
    assert "field f_edema; got 'yes'" in told(tmp_path, **options, labels="f_")
    made = Table(tmp_path, **options, labels="f_", label_values={"yes": 1, "": 0})
    assert [dict(made.targets(split)[0].labels or {}) for split in SPLITS] == [{"edema": 1}, {"edema": 0}, {"edema": 0}]
    assert [(count.rule, count.studies) for count in made.counts()] == [("in the table", 4), ("in a split", 3)]
    assert "option view_names['x']; got 'up'" in told(tmp_path, view_names={"x": "up"})
    assert "option split_names['0']; got 'trein'" in told(tmp_path, split_names={"0": "trein"})
    assert "option label_values['x']; got 2" in told(tmp_path, label_values={"x": 2})


def labelled(root: Path, file: str, *values: Any) -> Path:
    """A table with a column of labels; None in JSON lines leaves the field out."""
    write(root, f_edema=list(values) if file == "table.csv" else ["0", "0", "0"])
    rows = [{**row, "f_edema": value} for row, value in zip(ROWS, values, strict=True)]
    if file == "table.jsonl":
        lines = [{name: cell for name, cell in row.items() if cell is not None} for row in rows]
        (root / file).write_text("\n".join(map(json.dumps, lines)))
    elif file == "table.parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), root / file)
    return root


@pytest.mark.parametrize("file", ["table.csv", "table.jsonl", "table.parquet"])
@pytest.mark.parametrize(
    ("values", "got"),
    [
        ((1, 2, 0), "'2'"),
        ((1.0, 0.5, 0.0), "'0.5'"),
        ((1, -1, 0), "'-1'"),
        (("1", "yes", "0"), "'yes'"),
        (("1", "", "0"), "''"),
        ((1, None, 0), "''"),
    ],
)
def test_a_label_other_than_1_and_0_is_told_with_row_column_and_what_to_do(
    file: str, values: tuple[Any, ...], got: str, tmp_path: Path
) -> None:
    root = labelled(tmp_path, file, *values)
    row = {"table.csv": "line 3", "table.jsonl": "line 2", "table.parquet": "row 2"}[file]
    line = told(root, file=file, labels="f_")
    hint = f"Hint: mend the table, or say in the option label_values what {got} counts as"
    assert line == f"{root / file}: {row} (2): field f_edema; got {got}; expected 1 or 0. {hint}"
    made = Table(root, file=file, labels="f_", label_values={got[1:-1]: 1})
    assert [dict(made.targets(split)[0].labels or {}) for split in SPLITS] == [{"edema": 1}, {"edema": 1}, {"edema": 0}]


def test_a_label_that_may_be_a_report_is_not_told(tmp_path: Path) -> None:
    line = told(labelled(tmp_path, "table.csv", "1", "A secret reading of the film.", "0"), labels="f_")
    assert "field f_edema; got 29 characters; expected 1 or 0" in line and "secret" not in line


def test_a_beginning_that_no_column_has_is_told(tmp_path: Path) -> None:
    assert told(labelled(tmp_path, "table.csv", 1, 1, 0), labels="finding_").startswith("table: option labels; got 'finding_'")


def test_earlier_studies_and_their_separator(tmp_path: Path) -> None:
    write(tmp_path, prior_ids=["", "1 / 3", ""])
    made = Table(tmp_path, columns={"prior_ids": "prior_ids"}, separator="/")
    assert made.inputs("validate")[0].prior_ids == ("1", "3")
    assert "option separator" in told(tmp_path, separator="")


def test_films_lie_in_a_folder_of_the_root_and_may_be_missing_where_the_user_says_so(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "films").mkdir()
    assert "a film is missing, and 2 more of 3; got no file" in told(tmp_path, images_folder="films")
    for name in ("1.png", "3.png"):
        (tmp_path / name).rename(tmp_path / "films" / name)
    made = Table(tmp_path, images_folder="films", missing_images="drop")
    assert [len(made.inputs(split)) for split in SPLITS] == [1, 0, 1]
    assert made.counts()[-1].rule == "with films that are there"
    assert "option images_folder; got '../elsewhere'" in told(tmp_path, images_folder="../elsewhere")
    assert "is not a folder" in told(tmp_path, images_folder="nowhere")


def test_studies_without_report_are_left_out_where_the_user_says_so(tmp_path: Path) -> None:
    rows = [*ROWS, {**ROWS[0], "study_id": "4", "images": "4.png", "report": " "}]
    assert "set the option missing_reports to drop" in told(write(tmp_path, rows))
    made = Table(tmp_path, missing_reports="drop")
    assert [(count.rule, count.studies) for count in made.counts()] == [("in the table", 4), ("with a report", 3)]


def test_a_column_map_that_says_nothing_is_one_line(tmp_path: Path) -> None:
    write(tmp_path)
    for columns, words in (
        ({"film": "x"}, "option columns.film: no such field; expected study_id, subject_id"),
        ({"study_id": ["a", "b"]}, "option columns.study_id; got 2 columns; expected one"),
        ({"report": None}, "option columns.report; got nothing; expected a column"),
        ({"images": []}, "option columns.images; got nothing"),
        ({"images": ["a", "a"]}, "expected names of columns, each once"),
        ({"images": ["a", "b", "c"], "views": ["d", "e"]}, "got 2 columns of views, 3 of images"),
        ({"context": "report"}, "option columns.context; got report; expected no column that the report is made of"),
    ):
        assert words in told(tmp_path, columns=columns)
    assert "expected one a column of images" in told(tmp_path, image_views=("frontal", "lateral"))
    assert "option file; got '../table.csv'" in told(tmp_path, file="../table.csv")
    assert "expected a name that ends in .csv" in told(write(tmp_path, name="table.xlsx"), file="table.xlsx")


def test_without_pyarrow_parquet_says_what_to_install(
    studies: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts.write_parquet(tmp_path, studies)
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert told(tmp_path, file="table.parquet").endswith('Hint: pip install "rrgbench[parquet]"')


def test_a_page_of_parquet_with_a_wrong_byte_is_refused_where_it_has_a_checksum(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    write(tmp_path)
    path = tmp_path / "table.parquet"

    def broken(checksum: bool) -> Path:
        """A letter of a report is another."""
        how = {"compression": "none", "write_statistics": False, "write_page_checksum": checksum}
        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path, **how)
        content = path.read_bytes()
        assert content.count(b"Lungs") == 1
        path.write_bytes(content.replace(b"Lungs", b"Lunks"))
        return path

    line = told(broken(True).parent, file="table.parquet")
    assert line.startswith(f"{path} cannot be read; got ") and "CRC" in line
    assert line.endswith("expected a whole Parquet file. Hint: write it again")
    assert Table(broken(False).parent, file="table.parquet").targets("validate")[0].report == "Lunks are clear."


def test_json_lines_may_leave_fields_out_and_numbers_may_be_ids(tmp_path: Path) -> None:
    write(tmp_path)
    rows = [{**row, "study_id": int(row["study_id"]), "images": [row["images"]]} for row in ROWS]
    rows[0]["context"] = "Cough."
    (tmp_path / "table.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    found = sides(Table(tmp_path, file="table.jsonl", columns={"context": "context"}))
    assert [(name, asked.context) for name, (_, asked, _) in found.items()] == [("1", "Cough."), ("2", ""), ("3", "")]


def test_mistakes_of_many_rows_are_told_together_and_twenty_are_enough(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "study_id": str(n), "images": "../x"} for n in range(50)]
    with pytest.raises(ManyErrors) as caught:
        Table(write(tmp_path, rows))
    assert len(caught.value.errors) == 20


def test_the_example_of_the_docs_reads_an_export(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) if "name: table" in block]
    options = yaml.safe_load(block)["dataset"]
    assert options.pop("name") == "table" and options.pop("root")
    (tmp_path / "films").mkdir()
    rows = ["accession;patient;pa_file;lateral_file;findings;impression;question;history"]
    for number in range(40):
        (tmp_path / "films" / f"{number}.png").write_bytes(b"film")
        rows.append(f"{number};p{number};{number}.png;;Clear, {number}.;Normal.;Cough?;")
    (tmp_path / options["file"]).write_text("\n".join(rows))
    made = Table(tmp_path, **options)
    assert sum(len(made.inputs(split)) for split in SPLITS) == 40
    asked, judged = made.inputs("train")[0], made.targets("train")[0]
    assert (asked.views, asked.context, judged.report) == (("frontal",), "Cough?", f"Clear, {judged.study_id}. Normal.")


def test_it_is_treated_as_credentialed() -> None:
    assert Table.license == "credentialed"
