"""Floor ``nearest``: films of one view compared, exposure and own subject left out, and what cannot be read named."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from rrgbench_datasets import IUXray
from rrgbench_floors import Nearest, nearest
from safetensors.numpy import save_file

from rrgbench import DataError, Examples, Inputs, Targets

Films = list[tuple[str, numpy.ndarray]]


@pytest.fixture
def study(tmp_path: Path) -> Any:
    """Writes the films of a study: view and pixels."""
    count = iter(range(1000))

    def write(name: str, films: Films, subject: str | None = None) -> Inputs:
        paths = [tmp_path / f"{next(count)}.png" for _ in films]
        for path, (_, pixels) in zip(paths, films):
            Image.fromarray(pixels).save(path)
        return Inputs(name, subject or name, tuple(paths), tuple(view for view, _ in films))

    return write


def examples(*inputs: Inputs) -> Examples:
    return Examples(inputs, tuple(Targets(one.study_id, f"report of {one.study_id}") for one in inputs))


def film(seed: int, size: int = 16) -> Any:
    return numpy.random.default_rng(seed).integers(40, 120, (size, size)).astype(numpy.uint8)


def noisy(pixels: Any, seed: int) -> Any:
    return (pixels + numpy.random.default_rng(seed).integers(0, 9, pixels.shape)).astype(numpy.uint8)


def test_the_report_of_the_study_that_looks_most_alike_is_written(study: Any) -> None:
    train = examples(*(study(f"t{seed}", [("frontal", film(seed))]) for seed in range(8)))
    asked = [study(f"q{seed}", [("frontal", noisy(film(seed), 99))]) for seed in (5, 0, 7)]
    assert Nearest(train, size=16).generate(asked) == ["report of t5", "report of t0", "report of t7"]
    assert Nearest(train, size=16).generate([]) == []


def test_exposure_does_not_count(study: Any) -> None:
    train = examples(study("bright", [("frontal", film(1) + 100)]), study("other", [("frontal", film(2))]))
    dark = ((film(1).astype(int) - 40) // 2 + 1).astype(numpy.uint8)
    assert Nearest(train, size=16).generate([study("dark", [("frontal", dark)])]) == ["report of bright"]


def test_the_same_subject_is_left_out(study: Any) -> None:
    train = examples(study("own", [("frontal", film(1))], "p"), study("other", [("frontal", film(2))], "q"))
    assert Nearest(train).generate([study("again", [("frontal", film(1))], "p")]) == ["report of other"]
    with pytest.raises(DataError, match="study x has nothing to be compared with; expected a train study of another subject"):
        Nearest(examples(train.inputs[0])).generate([study("x", [("frontal", film(1))], "p")])


def test_of_equally_near_ones_the_first_in_train_order_is_taken(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    films = [film(3), film(1), film(1), film(2), film(1), film(2)]
    train = examples(*(study(f"t{number}", [("frontal", pixels)]) for number, pixels in enumerate(films)))
    asked = [study("a", [("frontal", film(1))]), study("b", [("frontal", film(2))])]
    blank = study("blank", [("frontal", numpy.full((16, 16), 7, dtype=numpy.uint8))])
    for chunk in (1, 2, 4, 1024):
        monkeypatch.setattr(nearest, "_CHUNK", chunk)
        assert Nearest(train).generate([*asked, blank]) == ["report of t1", "report of t3", "report of t0"]


def test_films_are_compared_with_films_of_their_view(study: Any) -> None:
    train = examples(
        study("swapped", [("frontal", film(2)), ("lateral", film(1))]),
        study("right", [("lateral", noisy(film(2), 5)), ("frontal", noisy(film(1), 6))]),
        study("half", [("frontal", noisy(film(1), 7)), ("lateral", film(9))]),
    )
    both = study("both", [("frontal", film(1)), ("lateral", film(2))])
    assert Nearest(train, size=16).generate([both]) == ["report of right"]
    lateral = study("lateral", [("lateral", film(1))])
    assert Nearest(train, size=16).generate([lateral]) == ["report of swapped"]
    with pytest.raises(DataError, match="study odd has nothing to be compared with"):
        Nearest(train).generate([both, study("odd", [("other", film(1))])])


def test_the_mean_is_over_the_views_that_both_have(study: Any) -> None:
    train = examples(
        study("two", [("frontal", film(1)), ("lateral", film(8))]),  # one film is the same, the other is not
        study("one", [("lateral", noisy(film(2), 3))]),  # its only film is nearly the same
    )
    asked = study("q", [("frontal", film(1)), ("lateral", film(2))])
    assert Nearest(train, size=16).generate([asked]) == ["report of one"]


def test_a_second_film_of_a_view_is_compared_with_second_films(study: Any) -> None:
    train = examples(
        study("turned", [("unknown", film(2)), ("unknown", film(1))]),
        study("straight", [("unknown", film(1)), ("unknown", film(2))]),
    )
    asked = study("q", [("unknown", noisy(film(1), 1)), ("unknown", noisy(film(2), 2))])
    assert Nearest(train, size=16).generate([asked]) == ["report of straight"]


def test_it_chooses_what_correlation_would(study: Any) -> None:
    train = [film(seed, 8) for seed in range(30)]
    asked = [film(seed, 8) for seed in range(100, 110)]
    floor = Nearest(examples(*(study(f"t{n}", [("frontal", one)]) for n, one in enumerate(train))), size=8)
    found = floor.generate([study(f"q{n}", [("frontal", one)]) for n, one in enumerate(asked)])
    for pixels, report in zip(asked, found):
        likeness = [numpy.corrcoef(pixels.ravel(), other.ravel())[0, 1] for other in train]
        assert report == f"report of t{int(numpy.argmax(likeness))}"


def test_films_of_any_kind_can_be_compared(study: Any) -> None:
    deep = film(1).astype(numpy.uint16) * 257
    colour = numpy.repeat(film(1)[:, :, None], 3, axis=2)
    train = examples(study("other", [("frontal", film(2))]), study("deep", [("frontal", deep)]))
    assert Nearest(train, size=16).generate([study("colour", [("frontal", colour)])]) == ["report of deep"]


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"x" * 40])
def test_a_film_that_cannot_be_read_is_named_with_its_study(study: Any, tmp_path: Path, content: bytes | None) -> None:
    broken = tmp_path / "broken.png"
    if content is not None:
        broken.write_bytes(content)
    good, bad = study("good", [("frontal", film(1))]), Inputs("bad", "bad", (broken,), ("frontal",))
    with pytest.raises(DataError, match=r"film .*broken.png of study bad cannot be read") as caught:
        Nearest(examples(good, bad))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="of study bad cannot be read"):
        Nearest(examples(good)).generate([bad])


# Given features.

VECTORS = {"t0": [1.0, 0.0, 0.0], "t1": [0.0, 2.0, 0.1], "q": [0.0, 9.0, 1.0]}
STUDIES = {name: Inputs(name, name, (), ()) for name in VECTORS}
TRAIN = examples(STUDIES["t0"], STUDIES["t1"])


def features(path: Path, vectors: dict[str, Any]) -> Path:
    arrays = {name: numpy.asarray(vector) for name, vector in vectors.items()}
    if path.suffix == ".npz":
        numpy.savez(path, **arrays)
    else:
        save_file(arrays, path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_given_features_are_compared_by_their_angle(tmp_path: Path, suffix: str) -> None:
    path = features(tmp_path / f"features{suffix}", VECTORS)
    assert Nearest(TRAIN, features=path).generate([STUDIES["q"]]) == ["report of t1"]


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        ({"t1": None}, "lack study t1"),
        ({"t1": [1.0, 2.0]}, r"study t1; got float64 \(2,\); expected a vector of finite numbers, all of one length"),
        ({"t1": [[0.0, 2.0, 0.1]]}, r"study t1; got float64 \(1, 3\)"),
        ({"t1": [0.0, float("nan"), 0.1]}, "study t1; got float64"),
        ({"t1": ["a", "b", "c"]}, "study t1; got <U1"),
        ({"q": None}, "lack study q"),
    ],
)
def test_features_that_lack_a_study_or_are_no_vectors_are_told(tmp_path: Path, vectors: dict[str, Any], told: str) -> None:
    given = {name: vector for name, vector in (VECTORS | vectors).items() if vector is not None}
    path = features(tmp_path / "features.npz", given)
    with pytest.raises(DataError, match=told):
        Nearest(TRAIN, features=path).generate([STUDIES["q"]])


@pytest.mark.parametrize("name", ["features.npz", "features.safetensors", "features.npy"])
@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY", b"PK\x03\x04" + b"x" * 60, b"\xff" * 64])
def test_a_file_of_features_that_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"floor nearest: features .*{name} cannot be read") as caught:
        Nearest(TRAIN, features=tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_pickle_in_a_file_of_features_is_not_opened(tmp_path: Path) -> None:
    numpy.savez(tmp_path / "features.npz", t0=numpy.array([Path("x")], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        Nearest(TRAIN, features=tmp_path / "features.npz")


@pytest.mark.heavy
def test_the_real_films_take_seconds_and_give_many_reports() -> None:
    root = Path(os.environ.get("RRGBENCH_DATA", "absent")) / "iu_xray"
    if not root.is_dir():
        pytest.skip("RRGBENCH_DATA holds no iu_xray")
    data = IUXray(root)
    train = Examples(tuple(data.inputs("train")), tuple(data.targets("train")))
    began = time.perf_counter()
    floor = Nearest(train)
    test = list(data.inputs("test"))
    reports = floor.generate(test)
    assert time.perf_counter() - began < 30  # 4 s where nothing else runs
    assert len(set(reports)) > 300
    draw = random.Random(0)
    some = draw.sample(range(len(test)), 20)
    assert floor.generate([test[place] for place in some]) == [reports[place] for place in some]
