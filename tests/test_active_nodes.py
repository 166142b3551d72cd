"""Active nodes: which studies look alike, what their reports state, and which findings films show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rrgbench import DataError, Inputs
from rrgbench.knowledge.active import (
    Looks,
    finding_nodes,
    looks,
    nearest,
    pooled,
    retrieved,
    seen,
    shares,
    summary,
    thresholds,
    thumbnails,
)
from rrgbench.knowledge.graph import Graph, GraphNode, Mentions

NODES = ("heart", "pleural effusion", "edema", "clear")


def study(number: int, subject: str, *views: str) -> Inputs:
    return Inputs(f"s{number}", subject, tuple(Path(f"{number}-{place}.png") for place in range(len(views))), views)


def graph(**evidence: tuple[int, ...]) -> Graph:
    nodes = tuple(GraphNode(name=name, kind="observation", reports=5) for name in NODES)
    return Graph(annotator="reader 1", reports=9, nodes=nodes, evidence=evidence)


def random_looks(count: int, seed: int, subjects: int = 1000) -> tuple[list[Inputs], Looks]:
    """Studies with one or two films and random vectors."""
    random = np.random.default_rng(seed)
    inputs = [
        study(number, f"p{random.integers(subjects)}", *(("frontal", "lateral")[: 1 + number % 2])) for number in range(count)
    ]
    return inputs, looks(inputs, random.normal(size=(sum(len(one.images) for one in inputs), 12)))


# Films as vectors.


def test_a_thumbnail_keeps_contrast_and_forgets_brightness() -> None:
    random = np.random.default_rng(0)
    films = random.integers(0, 200, (3, 1, 70, 41), dtype=np.uint8)
    found = thumbnails(films)
    assert np.allclose(found, thumbnails(films + 50))
    assert not np.allclose(found[0], found[1])
    blocks = films[:, 0, :70].reshape(3, 35, 2, 41).mean(axis=2).reshape(3, -1)
    assert np.allclose(found, blocks - blocks.mean(axis=1, keepdims=True))


def test_tokens_are_pooled_film_by_film_whatever_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = np.random.default_rng(0).normal(size=(7, 4, 3)).astype(np.float32)
    whole = pooled(tokens)
    monkeypatch.setattr("rrgbench.knowledge.active._FILMS", 2)
    assert np.array_equal(whole, pooled(tokens))
    assert np.allclose(whole, tokens.mean(axis=1), atol=1e-6)


def test_films_stand_at_their_place_in_their_study() -> None:
    inputs = [study(0, "a", "frontal", "lateral"), study(1, "b", "lateral"), study(2, "c", "frontal", "frontal")]
    found = looks(inputs, np.arange(5.0)[:, None])
    assert {place: (list(found.rows[place]), found.vectors[place].ravel().tolist()) for place in found.rows} == {
        ("frontal", 0): ([0, 2], [0.0, 3.0]),
        ("lateral", 0): ([0, 1], [1.0, 2.0]),
        ("frontal", 1): ([2], [4.0]),
    }
    with pytest.raises(DataError, match="the films are not those of the studies; got 4; expected 5"):
        looks(inputs, np.zeros((4, 1)))


# Neighbours.


def test_the_nearest_are_those_of_the_plain_formula_and_never_of_the_same_subject() -> None:
    (train_inputs, train), (inputs, asked) = random_looks(60, 1, subjects=15), random_looks(25, 2, subjects=15)
    found = nearest(asked, train, 4)
    for number, near in enumerate(found):
        apart = []
        for other, their in enumerate(train_inputs):
            distances = []
            for place in asked.rows:
                if number in asked.rows[place] and other in train.rows[place]:
                    middle, spread = train.vectors[place].mean(axis=0), train.vectors[place].std(axis=0)
                    one, two = (
                        (side.vectors[place][list(side.rows[place]).index(row)] - middle) / spread
                        for side, row in ((asked, number), (train, other))
                    )
                    distances.append(1 - one @ two / np.linalg.norm(one) / np.linalg.norm(two))
            own = their.subject_id == inputs[number].subject_id
            apart.append(np.inf if own or not distances else np.mean(distances))
        assert list(near) == list(np.argsort(apart, kind="stable")[:4])
        assert all(train_inputs[place].subject_id != inputs[number].subject_id for place in near)


def test_a_train_study_is_never_its_own_neighbour() -> None:
    inputs, train = random_looks(40, 3, subjects=20)
    for number, near in enumerate(nearest(train, train, 39)):
        own = {place for place, other in enumerate(inputs) if other.subject_id == inputs[number].subject_id}
        assert number in own
        assert not own & set(near.tolist())
        assert len(near) == 40 - len(own), "all others, where fewer are there than asked for"


def test_chunks_do_not_matter_and_of_equals_the_first_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    _, train = random_looks(30, 4)
    whole = nearest(train, train, 3)
    monkeypatch.setattr("rrgbench.knowledge.active._COMPARED", 1)
    assert all(np.array_equal(one, other) for one, other in zip(whole, nearest(train, train, 3), strict=True))
    same = looks(
        [study(number, f"p{number}", "frontal") for number in range(5)], np.repeat([[1.0, 2.0], [3.0, 1.0]], [2, 3], axis=0)
    )
    asked = looks([study(9, "q", "frontal")], np.array([[3.0, 1.0]]))
    assert nearest(asked, same, 3)[0].tolist() == [2, 3, 4]


def test_a_study_without_a_film_that_can_be_compared_is_told() -> None:
    train = looks([study(0, "a", "frontal")], np.ones((1, 2)))
    for asked in ([study(1, "a", "frontal")], [study(1, "b", "lateral")]):
        with pytest.raises(DataError, match="study 1 of 1 has nothing to be compared with; expected a train study of another"):
            nearest(looks(asked, np.ones((1, 2))), train, 3)


def test_retrieved_nodes_are_those_that_enough_neighbours_state() -> None:
    mentions = Mentions({"a": (0, 1), "b": (1, 2), "c": ()})
    neighbours = [np.array([0, 1, 2]), np.array([2]), np.array([0])]
    one = retrieved(neighbours, ["a", "b", "c"], mentions, 4, 1)
    assert one.tolist() == [[True, True, True, False], [False] * 4, [True, True, False, False]]
    two = retrieved(neighbours, ["a", "b", "c"], mentions, 4, 2)
    assert two.tolist() == [[False, True, False, False], [False] * 4, [True, True, False, False]]


def test_what_the_reports_of_a_subject_state_makes_no_node_of_its_own_studies_active() -> None:
    inputs, train = random_looks(40, 6, subjects=12)
    near = nearest(train, train, 3)
    ids = [one.study_id for one in inputs]
    random = np.random.default_rng(7)
    said = {study_id: tuple(random.choice(8, 3, replace=False).tolist()) for study_id in ids}
    before = retrieved(near, ids, Mentions(said), 8, 1)
    changed = 0
    for subject in sorted({one.subject_id for one in inputs}):
        own = [place for place, one in enumerate(inputs) if one.subject_id == subject]
        after = retrieved(near, ids, Mentions(said | {ids[place]: (0, 1, 2, 3, 4, 5, 6, 7) for place in own}), 8, 1)
        assert np.array_equal(before[own], after[own])
        changed += int((before != after).any())
    assert changed > 6, "the reports of others count"


# Findings.


def test_a_finding_is_said_by_its_evidence_and_by_nodes_whose_words_are_all_in_its_name() -> None:
    known = graph(cardiomegaly=(0,), effusion=(1,))
    table = finding_nodes(known, ("cardiomegaly", "effusion", "Pleural Effusion", "edema", "fracture"))
    assert [[NODES[place] for place in np.flatnonzero(row)] for row in table] == [
        ["heart"],
        ["pleural effusion"],
        ["pleural effusion"],
        ["edema"],
        [],
    ]


def test_shares_are_over_reports_that_say_anything_of_a_finding() -> None:
    found = shares([{"edema": 1, "mass": 0}, {"edema": 0}, None, {"edema": 0, "mass": 0}], ("edema", "mass", "nodule"))
    assert found.tolist() == pytest.approx([1 / 3, 0.0, 0.0])


def test_a_threshold_lets_as_many_validate_films_through_as_train_reports_state_the_finding() -> None:
    probabilities = np.random.default_rng(5).random((40, 3))
    limits = thresholds(probabilities, np.array([0.25, 0.0, 1.0]))
    assert (probabilities >= limits).sum(axis=0).tolist() == [10, 0, 40]
    assert np.isinf(limits[1])


def test_seen_nodes_are_those_of_findings_over_their_threshold() -> None:
    table = np.array([[True, True, False], [False, True, True]])
    found = seen(np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.1]]), np.array([0.5, 0.5]), table)
    assert found.tolist() == [[True, True, False], [False, True, True], [False, False, False]]
    assert not seen(np.ones((1, 2)), np.full(2, np.inf), table).any()


def test_a_summary_counts_nodes_and_studies_without_any() -> None:
    assert summary(np.array([[True, True], [False, False]])) == {"nodes": 2, "mean": 1.0, "none": 1}
