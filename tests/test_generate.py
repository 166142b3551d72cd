"""``rrgbench generate``: a run writes for given films what it wrote for the same films of test; mistakes are one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rrgbench.catalogue import Catalogue
from rrgbench.comparison import load_candidates
from rrgbench.data import load_inputs
from rrgbench.errors import ConfigError, DataError, RRGBenchError, StoreError
from rrgbench.plan import Step, bare_plan
from rrgbench.row import Row
from rrgbench.runner import RunResult, make_executor, run_steps
from rrgbench.runs import read_run
from rrgbench.store import Store
from rrgbench.types import Inputs
from rrgbench.writing import Run, Written, find_run, write_report

pytestmark = pytest.mark.heavy

STAGES = {
    "unimodal": {"losses": {"findings": 1.0}, "epochs": 4, "batch_size": 8},
    "fusion": {
        "train": ["text", "knowledge", "fusion", "decoder"],
        "augment": False,
        "cached": ["image"],
        "epochs": 30,
        "rung": 15,
        "batch_size": 8,
        "lr": 1e-2,
    },
    "end": {
        "train": ["text", "fusion", "decoder"],
        "adapters": {"text": "ia3", "decoder": {"name": "lora", "rank": 2}},
        "augment": False,
        "cached": ["image"],
        "epochs": 2,
        "rung": 1,
        "batch_size": 8,
        "lr": 1e-3,
    },
}
CHANGES = {
    "name": "writes",
    "base.dataset": {"name": "phantom", "studies": 60, "size": 32, "studies_per_subject": 2},
    "base.labels": "lexicon",
    "base.knowledge": {"active": "retrieved", "min_count": 2},
    "base.encoders.knowledge": {"name": "gcn", "width": 16},
    "base.stages": STAGES,
    "base.decoding": {"max_new_tokens": 40, "num_beams": 2},
    "axes": {"knowledge.active": ["retrieved", "image"], "encoders.knowledge": [None]},
    "design": "one_at_a_time",
    "select": {"metric": "bleu_4"},
}
PLAIN = {"axes": {"encoders.text": [{"name": "transformers", "hidden_size": 16, "layers": 1, "heads": 1}, None]}, "seeds": [0, 1]}


@dataclass
class Scene:
    """A store with a run experiment, and what runs steps beside it."""

    store: Store
    executor: Any
    catalogue: Catalogue

    def ran(self, steps: Mapping[str, Step], step_id: str, place: Store) -> RunResult:
        plan = bare_plan("generate", steps, self.catalogue)
        return run_steps(plan, [step_id], place, self.executor, self.catalogue)

    def write(self, run: Run, study: Inputs, **options: Any) -> Written:
        return write_report(self.store, run, study.images, study.views, study.context, self.ran, **options)

    @property
    def rows(self) -> list[Row]:
        return [row for row in load_candidates(self.store) if row.kind == "cell"]

    def studies(self, row: Row) -> tuple[Inputs, ...]:
        records = [json.loads(path.read_text()) for path in (self.store.root / "data" / "index").glob("*.json")]
        (folder,) = {record["folder"] for record in records if record["splits"]["test"]["inputs"] == row.inputs}
        return load_inputs(self.store, row.inputs, Path(folder))

    def predictions(self, run: Run) -> dict[str, str]:
        lines = (self.store.artifact(run.step_id) / "predictions.jsonl").read_text().splitlines()
        return {line["study_id"]: line["prediction"] for line in map(json.loads, lines)}


def _scene(folder: Path, shell: Any, write_experiment: Any, changes: Mapping[str, Any]) -> Iterator[Scene]:
    ran = shell("run", write_experiment(folder, changes), "--store", folder / "store", "--json")
    assert ran.code == 0, ran.err
    catalogue = Catalogue.load()
    executor = make_executor(catalogue, {"name": "local", "workers": 1})
    yield Scene(Store(folder / "store"), executor, catalogue)
    executor.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, shell: Any, write_experiment: Any) -> Iterator[Scene]:
    """Cells with all that stands between films and reports: kept features, selection, active nodes of two sources."""
    yield from _scene(tmp_path_factory.mktemp("whole"), shell, write_experiment, CHANGES)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, shell: Any, write_experiment: Any) -> Iterator[Scene]:
    """Two cells with and without text, of two seeds."""
    yield from _scene(tmp_path_factory.mktemp("plain"), shell, write_experiment, PLAIN)


def _seen(scene: Scene) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in scene.store.root.rglob("*")}


def test_for_films_of_test_a_run_writes_what_it_wrote(whole: Scene, tmp_path: Path) -> None:
    before = _seen(whole)
    assert len(whole.rows) == 3
    for row in whole.rows:
        run = find_run(whole.store, row.id)
        wrote = whole.predictions(run)
        assert len(set(wrote.values())) > 1, "a run that always writes the same shows nothing"
        for number, study in enumerate(whole.studies(row)[:6]):
            # Elsewhere, under names that tell nothing.
            films = [tmp_path / f"{number}-{place}.png" for place in range(len(study.images))]
            for film, image in zip(films, study.images, strict=True):
                shutil.copy(image, film)
            found = write_report(whole.store, run, films, study.views, study.context, whole.ran)
            assert found.report == wrote[study.study_id]
            assert found.notes == () or not study.context
    assert _seen(whole) == before, "the store is read only"


def test_each_way_of_a_run_was_there(whole: Scene) -> None:
    """Films retrieved by the features of one checkpoint, and read by those of a later one, are two steps."""
    kinds = {
        row.title: [request["kind"] for request in read_run(whole.store, row.steps["seed 0"]).requests] for row in whole.rows
    }
    assert sorted(map(sorted, kinds.values())) == [
        ["active", "features", "features", "generate", "pixels"],
        ["active", "features", "generate", "pixels"],
        ["features", "generate", "pixels"],
    ]


def test_what_is_given_counts(whole: Scene) -> None:
    run = find_run(whole.store, whole.rows[0].id)
    studies = whole.studies(whole.rows[0])
    reports = {whole.write(run, Inputs("x", "x", study.images[:1], study.views[:1], "")).report for study in studies}
    assert len(reports) > 1


def test_seeds_write_each_their_own(plain: Scene) -> None:
    row = next(row for row in plain.rows if row.title == "text=transformers")
    study = plain.studies(row)[0]
    for seed in row.seeds:
        run = find_run(plain.store, "tiny:text=transformers", seed)
        assert run.seed == seed
        assert plain.write(run, study).report == plain.predictions(run)[study.study_id]
        assert find_run(plain.store, run.step_id[:12]) == run


def test_names_that_mean_nothing_or_too_much_list_what_there_is(plain: Scene) -> None:
    place = plain.store
    wrong = {
        "tiny": r"names 2 rows; got .*tiny:text=.* \| .*; expected one",
        "text=transformer": "no row has text=transformer",
        "quickstart": "no such run; got 'quickstart'.*tiny",
        "": "RUN is empty.*there is",
        "text=none": "has the seeds 0, 1; expected one.*--seed 0",
    }
    for name, message in wrong.items():
        with pytest.raises(ConfigError, match=message) as caught:
            find_run(place, name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="--seed; got 5; expected 0 or 1"):
        find_run(place, "text=none", 5)
    own = find_run(place, "text=none", 1)
    with pytest.raises(ConfigError, match=r"--seed 0 is not that of the step .*; got 1"):
        find_run(place, own.step_id, 0)
    with pytest.raises(ConfigError, match="no rows of experiment other"):
        find_run(place, "text=none", 0, "other")


def test_films_views_and_contexts_that_a_run_does_not_read_are_told(plain: Scene, tmp_path: Path) -> None:
    run, blind = (find_run(plain.store, name, 0) for name in ("text=transformers", "text=none"))
    film = plain.studies(run.row)[0].images[0]
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "text.png").write_text("<svg/>")
    os.mkfifo(tmp_path / "pipe.png")

    def write(of: Run, images: list[Path], views: tuple[str, ...] = (), context: str = "") -> Written:
        return write_report(plain.store, of, images, views, context, plain.ran)

    wrong: list[tuple[Any, ...]] = [
        (ConfigError, "looks at films; got none", run, []),
        (ConfigError, "reads no context", blind, [film], (), "cough"),
        (ConfigError, "--view; got front;.*did you mean 'frontal'", run, [film], ("front",)),
        (ConfigError, "--view; got 2 views; expected one for each of 1 films", run, [film], ("frontal", "lateral")),
        (ConfigError, "--context; got half a character", run, [film], (), "a\udcff"),
        (DataError, r"broken\.png cannot be read", run, [tmp_path / "broken.png"]),
        (DataError, r"text\.png cannot be read", run, [film, tmp_path / "text.png"]),
        (DataError, r"gone\.png cannot be read; got No such file", run, [tmp_path / "gone.png"]),
        (DataError, "cannot be read; got Is a directory", run, [tmp_path]),
        (DataError, r"pipe\.png cannot be read; got a pipe or a device", run, [tmp_path / "pipe.png"]),
    ]
    for kind, message, *given in wrong:
        with pytest.raises(kind, match=message) as caught:
            write(*given)
        assert "\n" not in str(caught.value)
    assert write(blind, [film, film]).notes == (
        "views taken: frontal, lateral, as most train studies have them (--view says otherwise)",
    )
    strange = write(blind, [film], ("other",))
    assert strange.study.views == ("other",) and "never learnt" in strange.notes[0]
    assert any("none is given" in note for note in write(run, [film], ("frontal",)).notes)


def test_a_way_through_a_link_is_that_of_the_file_system(plain: Scene, tmp_path: Path) -> None:
    run = find_run(plain.store, "text=none", 0)
    (tmp_path / "far" / "inner").mkdir(parents=True)
    shutil.copy(plain.studies(run.row)[0].images[0], tmp_path / "far" / "film.png")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "inner")
    assert write_report(plain.store, run, [tmp_path / "link" / ".." / "film.png"], (), "", plain.ran).report


def test_the_command_writes_for_a_run_that_ranks_trained(tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    stages = {"fusion": {"epochs": 1, "batch_size": 4, "global_batch": 8}}
    path = write_experiment(tmp_path, {"base.stages": stages, "base.encoders.text": None, "axes": {}})
    ran = shell("run", path, "--ranks", "2", "--workers", "1", "--store", tmp_path / "store", "--json")
    assert ran.code == 0, ran.err
    film = next((tmp_path / "store" / "data" / "made").rglob("*.png"))
    written = shell("generate", "tiny", film, "--store", tmp_path / "store")
    assert written.code == 0 and written.out.strip(), written.err


def test_placeholders_of_a_context_become_what_they_became_in_the_runs(plain: Scene) -> None:
    run = find_run(plain.store, "text=transformers", 0)
    film = plain.studies(run.row)[0].images[0]
    for rule, expected in (("keep", "XXXX-year-old with XXXX cough"), ("drop", "-year-old with cough")):
        row = run.row.model_copy(update={"dataset_options": {**run.row.dataset_options, "context_placeholders": rule}})
        context = "XXXX-year-old with XXXX cough"
        found = write_report(plain.store, Run(row, 0, run.step_id), [film], ("frontal",), context, plain.ran)
        assert found.study.context == expected


def test_a_run_that_is_not_whole_is_one_line_and_running_again_mends_it(
    plain: Scene, tmp_path: Path, shell: Any, write_experiment: Any
) -> None:
    store = tmp_path / "store"
    shutil.copytree(plain.store.root, store, symlinks=True)
    place = Store(store)
    run = find_run(place, "text=none", 0)
    film = plain.studies(run.row)[0].images[0]
    (store / "runs" / f"{run.step_id}.json").write_text("{")
    with pytest.raises(StoreError, match=r"cannot be read.*rrgbench run EXPERIMENT"):
        write_report(place, run, [film], (), "", plain.ran)
    shutil.rmtree(store / "runs")
    with pytest.raises(StoreError, match=r"how this run writes is not in the store.*what is done is not done again"):
        write_report(place, run, [film], (), "", plain.ran)
    again = shell("run", write_experiment(tmp_path, PLAIN), "--store", store, "--json")
    assert again.code == 0 and again.json["executed"] == {}
    assert write_report(place, run, [film], (), "", plain.ran).report
    (checkpoint,) = read_run(place, run.step_id).requests[-1]["upstream"]["checkpoint"]
    (place.artifact(checkpoint) / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(StoreError, match=r"is damaged; got model\.safetensors not as written"):
        write_report(place, run, [film], (), "", plain.ran)
    shutil.rmtree(place.artifact(checkpoint))
    with pytest.raises(StoreError, match="not whole any more; got 1 artifacts gone"):
        write_report(place, run, [film], (), "", plain.ran)


def test_a_run_of_other_code_is_refused(plain: Scene, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(plain.store.root, store, symlinks=True)
    run = find_run(Store(store), "text=none", 0)
    path = store / "runs" / f"{run.step_id}.json"
    kept = json.loads(path.read_text())
    kept["requests"][-1]["payload"]["model"]["decoder"]["$component"]["version"] = "older"
    path.write_text(json.dumps(kept))
    with pytest.raises(ConfigError, match=r"transformer changed since this run was trained.*run its experiment again"):
        write_report(Store(store), run, plain.studies(run.row)[0].images, (), "", plain.ran)


def test_other_numerics_are_refused_unless_asked_for(plain: Scene) -> None:
    run = find_run(plain.store, "text=none", 0)
    study = plain.studies(run.row)[0]
    two = make_executor(plain.catalogue, {"name": "local", "workers": 1, "threads": 2})
    other = Scene(plain.store, two, plain.catalogue)
    try:
        with pytest.raises(RRGBenchError, match=r"other numerics \(threads\); got threads 2; expected threads 1"):
            other.write(run, Inputs("x", "x", study.images, study.views, ""))
        assert other.write(run, Inputs("x", "x", study.images, study.views, ""), elsewhere=True).report
    finally:
        two.close()


def test_the_command_prints_the_report_or_json_and_nothing_else(plain: Scene, shell: Any) -> None:
    run = find_run(plain.store, "text=transformers", 1)
    study = plain.studies(run.row)[0]
    asked = ["generate", "tiny:text=transformers", *study.images, "--seed", "1", "--context", study.context]
    asked += [word for view in study.views for word in ("--view", view)] + ["--store", plain.store.root]
    said, told = shell(*asked), shell(*asked, "--json")
    wrote = plain.predictions(run)[study.study_id]
    assert (said.code, said.out, said.err) == (0, f"{wrote}\n", "")
    assert told.json["report"] == wrote and told.json["run"]["seed"] == 1
    assert [image["view"] for image in told.json["images"]] == list(study.views)
    missing = shell("generate", "text=none", "gone.png", "--seed", "0", "--store", plain.store.root)
    assert missing.code == 2 and missing.err.startswith("error: film gone.png cannot be read") and missing.err.count("\n") == 1


def test_a_dicom_file_is_a_film(plain: Scene, tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    import numpy as np
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    run = find_run(plain.store, "text=none", 0)
    study = plain.studies(run.row)[0]
    pixels = np.asarray(Image.open(study.images[0]).convert("L"))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    made = FileDataset("film.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    made.Rows, made.Columns, made.SamplesPerPixel, made.PixelRepresentation = *pixels.shape, 1, 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PhotometricInterpretation = 8, 8, 7, "MONOCHROME2"
    made.WindowCenter, made.WindowWidth, made.VOILUTFunction = "127.5", "255", "LINEAR_EXACT"
    made.PixelData = pixels.tobytes()
    made.save_as(tmp_path / "film.dcm")
    as_dicom, as_png = (
        write_report(plain.store, run, [film], ("frontal",), "", plain.ran).report
        for film in (tmp_path / "film.dcm", study.images[0])
    )
    assert as_dicom == as_png
