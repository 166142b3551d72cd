"""Data set ``phantom``: what is planted, and that it is the same everywhere."""

from __future__ import annotations

import hashlib
import itertools
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rrgbench_datasets.keeping import png
from rrgbench_datasets.phantom import Phantom, dataset
from rrgbench_datasets.phantom.anatomy import body_of, exposure_of
from rrgbench_datasets.phantom.draws import Draws
from rrgbench_datasets.phantom.findings import (
    CONDITIONS,
    EVENTS,
    LABELS,
    MARGINALS,
    PLACES,
    ZONES,
    Finding,
    Plants,
    Question,
    Study,
    studies_of,
)
from rrgbench_datasets.phantom.frontal import frontal
from rrgbench_datasets.phantom.grammar import (
    ANSWERS,
    CONDITION_SAID,
    CONDITION_TOLD,
    EVENT_SAID,
    EVENT_TOLD,
    context_of,
    report_of,
)
from rrgbench_datasets.phantom.lateral import lateral

from rrgbench import SPLITS, ConfigError, DataError, Dataset
from rrgbench.testing import DatasetContract

SMALL: dict[str, Any] = {"studies": 30, "size": 48}


class TestPhantom(DatasetContract):
    component = Phantom
    options = SMALL


def digest_of_films(made: Phantom) -> str:
    """Of pixels, not of files."""
    whole = hashlib.sha256()
    for split in SPLITS:
        for one in made.inputs(split):
            for path in one.images:
                whole.update(np.asarray(Image.open(path)).tobytes())
    return whole.hexdigest()[:16]


def digest_of_texts(made: Phantom) -> str:
    texts = [(one.study_id, one.context, one.views, one.prior_ids) for split in SPLITS for one in made.inputs(split)]
    sides = [(one.study_id, one.report, one.labels) for split in SPLITS for one in made.targets(split)]
    return hashlib.sha256(repr((texts, sides)).encode()).hexdigest()[:16]


def studies(subjects: int, image: float = 0.9, text: float = 0.9, knowledge: float = 0.8, empty: float = 0.0) -> list[Study]:
    plants = Plants(image, text, knowledge)
    return [study for subject in range(subjects) for study in studies_of(subject, 0, 3, plants, 0.9, empty)]


def report(study: Study) -> str:
    return report_of(study, Draws("report", 0, study.study_id))


def context(study: Study) -> str:
    return context_of(study, Draws("context", 0, study.study_id))


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def which(text: str, table: dict[str, tuple[str, str]] | Any) -> str:
    """The key of ``table`` whose longest phrasing stands in ``text``."""
    lower = text.lower()
    held = [(len(phrase), key) for key, row in table.items() for phrase in row if phrase.lower() in lower]
    return max(held)[1]


def chi_square(pairs: Sequence[tuple[str, str]]) -> float:
    both, left, right = Counter(pairs), Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    expected = {(a, b): left[a] * right[b] / len(pairs) for a, b in itertools.product(left, right)}
    return sum((both[cell] - count) ** 2 / count for cell, count in expected.items())


def labelled(text: str) -> dict[str, int]:
    """Labels read from a report alone: a finding is there where a sentence names it and nothing before it denies it."""
    names = {
        "effusion": r"pleural (effusion|fluid)",
        "cardiomegaly": r"cardiomegaly|(heart|silhouette) is \w+ enlarged",
        "consolidation": r"consolidation",
        "nodule": r"nodule",
        "pneumothorax": r"pneumothorax",
        "edema": r"edema",
        "atelectasis": r"atelectasis",
        "device": r"picc|pacemaker|tube|jugular line",
    }
    labels = dict.fromkeys(names, 0)
    for sentence in text.lower().split("."):
        for name, pattern in names.items():
            for match in re.finditer(pattern, sentence):
                labels[name] |= not re.search(r"\b(no|without)\b", sentence[: match.start()])
    return {name: int(label) for name, label in labels.items()}


def test_films_and_texts_are_the_same_on_every_machine(tmp_path: Path) -> None:
    """A film that changes needs a new VERSION, for folders that hold earlier ones."""
    made = Phantom(tmp_path, studies=30, size=48)
    assert isinstance(made, Dataset)
    assert (dataset.VERSION, digest_of_films(made), digest_of_texts(made)) == (1, "0ea13690700eb1d8", "d8c20806812cd323")


def test_two_processes_at_once_make_the_same_files_as_one(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from rrgbench_datasets.phantom import Phantom
        Phantom(Path(sys.argv[1]), studies=30, size=48)
    """
    both = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "shared")]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    Phantom(tmp_path / "alone", **SMALL)
    shared, alone = ({path.name: path.read_bytes() for path in (tmp_path / place).rglob("*.*")} for place in ("shared", "alone"))
    assert shared == alone


def test_another_seed_gives_other_films_and_texts(tmp_path: Path) -> None:
    first, second = Phantom(tmp_path, **SMALL), Phantom(tmp_path, seed=1, **SMALL)
    assert digest_of_films(first) != digest_of_films(second)
    assert digest_of_texts(first) != digest_of_texts(second)


def test_a_second_construction_leaves_whole_films_alone(tmp_path: Path) -> None:
    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    Phantom(tmp_path, **SMALL)
    before = stamps()
    Phantom(tmp_path, text_plant=0.0, empty_share=0.5, **SMALL)
    assert stamps() == before


def test_damaged_and_missing_films_are_made_again(tmp_path: Path) -> None:
    made = Phantom(tmp_path, **SMALL)
    want = digest_of_films(made)
    torn, gone, swapped, source = (one.images[0] for one in made.inputs("train")[:4])
    torn.write_bytes(torn.read_bytes()[:500])
    gone.unlink()
    swapped.write_bytes(source.read_bytes())
    assert digest_of_films(Phantom(tmp_path, **SMALL)) == want


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b'{"a": 1}'])
def test_a_damaged_ledger_costs_time_only(tmp_path: Path, content: bytes) -> None:
    want = digest_of_films(Phantom(tmp_path, **SMALL))
    (ledger,) = tmp_path.rglob("films.json")
    ledger.write_bytes(content)
    assert digest_of_films(Phantom(tmp_path, **SMALL)) == want


def test_a_full_disk_is_one_line_and_leaves_no_half_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DataError, match=r"png cannot be written; got No space left on device"):
        Phantom(tmp_path, **SMALL)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_cache_that_is_a_file_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        Phantom(tmp_path / "cache", **SMALL)


@pytest.mark.parametrize("size", [32, 300])
def test_a_png_holds_its_pixels(tmp_path: Path, size: int) -> None:
    """The larger one takes more than one stored block."""
    grey = (np.arange(size * size) % 251).astype(np.uint8).reshape(size, size)
    (tmp_path / "film.png").write_bytes(png(grey))
    with Image.open(tmp_path / "film.png") as film:
        assert film.mode == "L"
        assert np.array_equal(np.asarray(film), grey)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"image_plant": 1.5}, "option image_plant of data set phantom; got 1.5; expected less than or equal to 1"),
        ({"text_plant": -0.1}, "option text_plant of data set phantom; got -0.1; expected greater than or equal to 0"),
        ({"knowledge_plant": float("nan")}, "option knowledge_plant of data set phantom; got nan"),
        ({"lateral_share": "all"}, "option lateral_share of data set phantom; got 'all'; expected a valid number"),
        ({"size": 8}, "option size of data set phantom; got 8; expected greater than or equal to 32"),
        ({"size": 64.5}, "option size of data set phantom; got 64.5"),
        ({"studies": 5}, "option studies of data set phantom; got 5; expected greater than or equal to 10"),
        ({"studies": 20}, "got 20; expected at least ten subjects of studies_per_subject=3"),
        ({"seed": -1}, "option seed of data set phantom; got -1"),
        ({"studies_per_subject": 0}, "option studies_per_subject of data set phantom; got 0"),
        ({"interaction_plant": -0.5}, "option interaction_plant of data set phantom; got -0.5"),
        ({"question_alone": True}, "option question_alone of data set phantom; got True; expected a question"),
    ],
)
def test_an_option_out_of_range_is_one_line(tmp_path: Path, options: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Phantom(tmp_path, **options)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_of_each_ten_subjects_seven_train_one_validates_and_two_test() -> None:
    shares = Counter(study.split for study in studies(200) if study.visit == 0)
    assert shares == {"train": 140, "validate": 20, "test": 40}


@pytest.mark.parametrize("most", [1, 3, 10])
def test_the_smallest_set_has_every_split(tmp_path: Path, most: int) -> None:
    made = Phantom(tmp_path, studies=10 * most, studies_per_subject=most, size=32)
    assert all(made.inputs(split) for split in SPLITS)
    assert sum(len(made.inputs(split)) for split in SPLITS) == 10 * most


def test_a_larger_set_begins_with_the_smaller_one(tmp_path: Path) -> None:
    small, large = Phantom(tmp_path, studies=30, size=32), Phantom(tmp_path, studies=50, size=32)
    for split in SPLITS:
        assert list(large.targets(split))[: len(small.targets(split))] == list(small.targets(split))


def test_follow_ups_name_the_earlier_studies_and_resemble_them() -> None:
    whole = {study.study_id: study for study in studies(600)}
    pairs = [(whole[study.prior_ids[-1]], study) for study in whole.values() if study.prior_ids]
    assert all(earlier.subject == later.subject and earlier.visit + 1 == later.visit for earlier, later in pairs)
    assert all(earlier.history == later.history for earlier, later in pairs)
    assert all(len(study.prior_ids) == study.visit for study in whole.values())
    same = np.mean([[a.labels[name] == b.labels[name] for name in LABELS] for a, b in pairs])
    strangers = np.mean([[a.labels[name] == b.labels[name] for name in LABELS] for (a, _), (_, b) in itertools.pairwise(pairs)])
    assert same > strangers + 0.1
    places = [(f.place, g.place) for a, b in pairs for f in a.findings for g in b.findings if f.name == g.name]
    assert len(places) > 100
    assert all(first == second for first, second in places)


def test_labels_agree_with_reports() -> None:
    for study in studies(500):
        assert labelled(report(study)) == study.labels, report(study)


def test_reports_are_varied_and_short() -> None:
    reports = [report(study) for study in studies(300)]
    assert len(set(reports)) > 400
    assert {len(text.split(". ")) for text in reports} == {3, 4, 5, 6, 7}
    assert 150 <= len({word for text in reports for word in words(text)}) <= 250
    assert all(re.fullmatch(r"([A-Z][a-zA-Z0-9, ]+\.)( [A-Z][a-zA-Z0-9, ]+\.)*", text) for text in reports)


def test_history_is_about_a_third_of_the_words_of_reports() -> None:
    whole = studies(300)
    said = 0
    for study in whole:
        tables = (CONDITION_SAID[study.history.condition], EVENT_SAID[study.history.event])
        said += sum(max(len(words(line)) for line in table if line in report(study)) for table in tables)
    share = said / sum(len(words(report(study))) for study in whole)
    assert 0.25 < share < 0.42


def test_no_three_words_of_a_report_stand_in_an_indication() -> None:
    def triples(texts: Iterable[str]) -> set[tuple[str, ...]]:
        return {tuple(line[start : start + 3]) for line in map(words, texts) for start in range(len(line) - 2)}

    whole = studies(300, text=1.0)
    assert not triples(report(study) for study in whole) & triples(context(study) for study in whole)


def test_with_text_plant_one_the_indication_tells_the_history() -> None:
    for study in studies(300, text=1.0):
        told, said = context(study), report(study)
        assert which(told, CONDITION_TOLD) == which(said, CONDITION_SAID) == study.history.condition
        assert which(told, EVENT_TOLD) == which(said, EVENT_SAID) == study.history.event


def test_with_text_plant_zero_the_indication_is_independent_of_the_report() -> None:
    """Chi-square of 16 and 9 degrees of freedom: below the 99 % points; one study a subject, since subjects repeat."""
    firsts = [study for study in studies(2000, text=0.0) if study.visit == 0]
    pairs = [(context(study), report(study)) for study in firsts]
    assert chi_square([(which(told, CONDITION_TOLD), which(said, CONDITION_SAID)) for told, said in pairs]) < 32.0
    assert chi_square([(which(told, EVENT_TOLD), which(said, EVENT_SAID)) for told, said in pairs]) < 21.7
    for name in LABELS:
        assert chi_square([(which(context(study), CONDITION_TOLD), str(study.labels[name])) for study in firsts]) < 13.3


def test_text_plant_changes_what_indications_tell_but_not_how_they_sound() -> None:
    frequencies = []
    for plant in (0.0, 1.0):
        told = Counter(word for study in studies(1500, text=plant) for word in words(context(study)))
        frequencies.append({word: count / told.total() for word, count in told.items()})
    assert frequencies[0].keys() == frequencies[1].keys()
    assert sum(abs(frequencies[0][word] - frequencies[1][word]) for word in frequencies[0]) < 0.05


def test_history_is_independent_of_the_findings() -> None:
    firsts = [study for study in studies(2000) if study.visit == 0]
    for name in LABELS:
        assert chi_square([(study.history.condition, str(study.labels[name])) for study in firsts]) < 13.3
        assert chi_square([(study.history.event, str(study.labels[name])) for study in firsts]) < 11.4


def test_the_share_of_studies_without_an_indication_is_as_asked() -> None:
    silent = [not context(study) for study in studies(1000, empty=0.2)]
    assert 0.17 < np.mean(silent) < 0.23


def test_plants_of_image_and_text_leave_the_targets_alone(tmp_path: Path) -> None:
    first, second = (Phantom(tmp_path, image_plant=plant, text_plant=plant, **SMALL) for plant in (0.0, 1.0))
    for split in SPLITS:
        assert first.targets(split) == second.targets(split)
        assert [one.study_id for one in first.inputs(split)] == [one.study_id for one in second.inputs(split)]


def test_with_image_plant_zero_films_do_not_depend_on_findings(tmp_path: Path) -> None:
    first, second = (Phantom(tmp_path, image_plant=0.0, knowledge_plant=plant, **SMALL) for plant in (0.0, 1.0))
    assert [one.labels for one in first.targets("train")] != [one.labels for one in second.targets("train")]
    assert digest_of_films(first) == digest_of_films(second)


def test_image_plant_is_the_share_of_findings_that_are_drawn() -> None:
    drawn = [finding.drawn for study in studies(1000, image=0.7) for finding in study.findings]
    assert 0.67 < np.mean(drawn) < 0.73


def test_knowledge_plant_ties_findings_together_at_the_same_frequencies() -> None:
    def labels(plant: float) -> np.ndarray:
        return np.array([list(study.labels.values()) for study in studies(2000, knowledge=plant)])

    edema, effusion, heart = (LABELS.index(name) for name in ("edema", "effusion", "cardiomegaly"))
    apart, together = labels(0.0), labels(1.0)
    for column, name in enumerate(LABELS):
        assert abs(apart[:, column].mean() - MARGINALS[name]) < 0.03
        assert abs(together[:, column].mean() - MARGINALS[name]) < 0.03
    for other in (effusion, heart):
        assert np.corrcoef(together[:, edema], together[:, other])[0, 1] > 0.3
    correlations = np.corrcoef(apart.T)[np.triu_indices(len(LABELS), 1)]
    assert np.abs(correlations).max() < 0.06


def film(view: str, *findings: Finding, subject: int = 3, size: int = 64) -> np.ndarray:
    draw = {"frontal": frontal, "lateral": lateral}[view]
    return draw(size, body_of(0, subject), exposure_of(0, subject, 0, view), findings, Draws("film", subject)).astype(np.float64)


@pytest.mark.parametrize(("name", "place"), [(name, place) for name, places in PLACES.items() for place in places])
def test_every_finding_shows_at_its_place(name: str, place: str) -> None:
    """The patient's right lies on the left of the film. A device may cross the middle, a heart lies in it."""
    for severity in range(3):
        change = np.abs(film("frontal", Finding(name, place, severity, "", True)) - film("frontal"))
        assert (change > 12).sum() >= 10
        right, left = change[:, :32].sum(), change[:, 32:].sum()
        if name not in ("device", "cardiomegaly"):
            assert right > 4 * left or not place.startswith("right")
            assert left > 4 * right or not place.startswith("left")


@pytest.mark.parametrize("name", [name for name in LABELS if name != "device"])
def test_what_is_graver_shows_more(name: str) -> None:
    place = PLACES[name][0]
    changes = [np.abs(film("frontal", Finding(name, place, severity, "", True)) - film("frontal")).sum() for severity in range(3)]
    assert changes == sorted(changes)
    assert changes[2] > 1.3 * changes[0]


@pytest.mark.parametrize("name", [name for name in LABELS if name != "pneumothorax"])
def test_the_lateral_film_shows_the_finding_too(name: str) -> None:
    for place in PLACES[name]:
        change = np.abs(film("lateral", Finding(name, place, 1, "", True)) - film("lateral"))
        assert (change > 10).sum() >= 8


def test_a_finding_that_is_not_drawn_leaves_the_film_as_it_was() -> None:
    for name in LABELS:
        unseen = Finding(name, PLACES[name][0], 2, "", False)
        assert np.array_equal(film("frontal", unseen), film("frontal"))
        assert np.array_equal(film("lateral", unseen), film("lateral"))


def test_greys_are_ordered_as_on_a_film() -> None:
    """Air outside, lung, heart, belly: each lighter than the one before."""
    for subject in range(8):
        grey = film("frontal", subject=subject, size=96)
        outside, lung, heart, belly = (
            grey[:4, :4].mean(),
            grey[40:55, 18:26].mean(),
            grey[60:66, 48:54].mean(),
            grey[88:94, 24:34].mean(),
        )
        assert outside < lung - 20 < heart - 60
        assert heart < belly + 10


def test_every_history_is_told_and_said() -> None:
    assert set(CONDITION_TOLD) == set(CONDITION_SAID) == set(CONDITIONS)
    assert set(EVENT_TOLD) == set(EVENT_SAID) == set(EVENTS)


@pytest.mark.heavy
def test_a_ridge_regression_on_small_films_finds_the_findings(tmp_path: Path) -> None:
    made = Phantom(tmp_path, size=64, lateral_share=0.0)

    def arrays(split: Any) -> tuple[np.ndarray, np.ndarray]:
        grey = np.stack([np.asarray(Image.open(one.images[0]), dtype=np.float64) / 255 for one in made.inputs(split)])
        small = grey.reshape(len(grey), 32, 2, 32, 2).mean((2, 4)).reshape(len(grey), -1)
        return small, np.array([list(one.labels.values()) for one in made.targets(split) if one.labels])

    (x, y), (x_test, y_test) = arrays("train"), arrays("test")
    centre = x.mean(0)
    weights = (x - centre).T @ np.linalg.solve((x - centre) @ (x - centre).T + 30 * np.eye(len(x)), y - y.mean(0))
    scores = (x_test - centre) @ weights
    areas = {}
    for column, name in enumerate(LABELS):
        present, absent = scores[y_test[:, column] == 1, column], scores[y_test[:, column] == 0, column]
        areas[name] = float((present[:, None] > absent[None, :]).mean())
    assert min(areas[name] for name in ("effusion", "cardiomegaly", "edema")) > 0.85, areas


def test_it_needs_no_torch() -> None:
    code = """
        import sys
        from rrgbench_datasets.phantom import Phantom
        assert "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def asked(subjects: int, plant: float) -> list[tuple[Study, Question]]:
    plants = Plants(0.9, 0.9, 0.8, plant)
    made = [study for subject in range(subjects) for study in studies_of(subject, 0, 1, plants, 0.9, 0.0)]
    return [(study, study.question) for study in made if study.question is not None]


def test_the_report_begins_with_an_answer_that_film_and_question_settle() -> None:
    for study, question in asked(300, plant=1.0):
        (named,) = [zone for zone in ZONES if f"marker in the {zone} zone?" in context(study)]
        there = study.labels[f"marker {named}"] == 1
        assert report(study).startswith(ANSWERS[there])
        assert there == question.answer
        assert not any(zone in ANSWERS[there] for zone in ZONES)


def test_neither_film_nor_question_alone_tells_the_answer() -> None:
    """Whatever the film, exactly half of the zones that may be asked of hold a marker; and so for each zone over films."""
    whole = asked(3000, plant=1.0)
    assert {len(question.zones) for _, question in whole} == {len(ZONES) // 2}
    for zone in ZONES:
        assert chi_square([(str(zone in question.zones), str(question.answer)) for _, question in whole]) < 6.64
    assert chi_square([(question.named, str(question.answer)) for _, question in whole]) < 15.1
    for name in LABELS:
        assert chi_square([(str(study.labels[name]), str(question.answer)) for study, question in whole]) < 6.64


def test_with_interaction_plant_zero_the_answer_is_of_a_zone_drawn_apart() -> None:
    whole = asked(3000, plant=0.0)
    assert chi_square([(question.named, question.meant) for _, question in whole]) < 44.3
    assert chi_square([(str(question.named in question.zones), str(question.answer)) for _, question in whole]) < 6.64


def test_the_question_moves_nothing_else(tmp_path: Path) -> None:
    plain, planted = Phantom(tmp_path, **SMALL), Phantom(tmp_path, interaction_plant=0.5, **SMALL)
    for split in SPLITS:
        for before, after in zip(plain.targets(split), planted.targets(split), strict=True):
            assert after.report.endswith(f". {before.report}")
            assert dict(after.labels or {}).items() > dict(before.labels or {}).items()
        for one, other in zip(plain.inputs(split), planted.inputs(split), strict=True):
            assert (other.context or "").startswith(one.context or "")
            assert (one.study_id, one.views, one.prior_ids) == (other.study_id, other.views, other.prior_ids)
    assert digest_of_films(planted) == digest_of_films(Phantom(tmp_path, interaction_plant=1.0, **SMALL))


def test_a_question_alone_ends_the_whole_indication_and_its_answer_begins_the_whole_report(tmp_path: Path) -> None:
    whole, alone = (Phantom(tmp_path, interaction_plant=1.0, question_alone=each, **SMALL) for each in (False, True))
    for split in SPLITS:
        for one, other in zip(whole.inputs(split), alone.inputs(split), strict=True):
            assert one == replace(other, context=one.context)
            assert bool(one.context) == bool(other.context)
            assert (one.context or "").endswith(other.context or "")
            assert re.fullmatch(r"(Is a marker in the \w+ \w+ zone\?)?", other.context or "")
        for before, after in zip(whole.targets(split), alone.targets(split), strict=True):
            assert after.report in ANSWERS.values()
            assert before.report.startswith(f"{after.report} ")
            assert before.labels == after.labels


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("zone", ZONES)
def test_a_marker_shows_in_its_zone_and_nowhere_else(zone: str, size: int) -> None:
    draws = [Draws("film", 3), Draws("film", 3)]
    bare, marked = (
        frontal(size, body_of(0, 3), exposure_of(0, 3, 0, "frontal"), (), each, zones).astype(np.float64)
        for each, zones in zip(draws, ((), (zone,)), strict=True)
    )
    change = np.abs(marked - bare)
    rows, columns = np.nonzero(change > 40)
    assert len(rows) >= 4 * (size / 32) ** 2
    assert (columns.mean() < size / 2) == zone.startswith("right")
    assert ("upper", "mid", "lower")[int(np.digitize(rows.mean() / size, (0.38, 0.56)))] == zone.split()[1]
    assert np.ptp(rows) < size / 4
    assert np.ptp(columns) < size / 4
