"""Each mistake in a data set is caught by the check that is for it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rrgbench import SPLITS, Dataset
from rrgbench.testing import ToyDataset, failures

torch.set_num_threads(1)

Failing = Callable[..., str]


def changed(split: str, **fields: Any) -> dict[str, Callable[..., Any]]:
    """The toy data set with other fields in the first study of a split, on the side that has them."""

    def side(name: str) -> Callable[..., Any]:
        def get(self: ToyDataset, which: Any) -> Any:
            first, *rest = getattr(ToyDataset, name)(self, which)
            own = {key: value for key, value in fields.items() if hasattr(first, key)}
            return (dataclasses.replace(first, **own) if which == split else first, *rest)

        return get

    return {"inputs": side("inputs"), "targets": side("targets")}


@pytest.mark.parametrize(
    ("members", "check", "sentence"),
    [
        ({"license": "free"}, "license", "license is 'free'"),
        ({"targets": lambda self, split: ToyDataset.targets(self, split)[::-1]}, "go together", "not the same studies"),
        ({"inputs": lambda self, split: (), "targets": lambda self, split: ()}, "go together", "the split train is empty"),
        (changed("test", study_id="train-1"), "unique", "studies occur twice: train-1"),
        (changed("test", subject_id="train-subject-0"), "crosses splits", "is in train and in test"),
        (changed("validate", images=(Path("nowhere.png"),)), "films", "nowhere.png is no file"),
        (changed("validate", images=(), views=()), "films", "has no film"),
        (changed("validate", views=("sideways",)), "films", "views ['sideways']"),
        (changed("validate", views=()), "films", "1 films and 0 views"),
        (changed("train", images=(Path(__file__),)), "films", "raised UnidentifiedImageError"),
        (changed("test", report=" \n"), "reports are texts", "empty report"),
        (changed("test", labels={"right": 2, "pain": 0}), "reports are texts", "not 0 or 1"),
        (changed("test", labels={"other": 1}), "reports are texts", "different labels"),
        (changed("test", context="There is a square on the left side; there is no pain."), "holds the report", "test-0"),
        ({"sources": lambda self: (Path("nowhere.json"),)}, "sources", "nowhere.json"),
        ({"inputs": lambda self, split: 1 / 0}, "unique", "raised ZeroDivisionError"),
    ],
)
def test_a_wrong_data_set_is_caught(failing: Failing, members: dict[str, Any], check: str, sentence: str) -> None:
    assert sentence in failing("datasets", type("WrongDataset", (ToyDataset,), members), check)


def test_a_data_set_that_draws_is_caught(failing: Failing) -> None:
    counter = itertools.count()

    class Draws(ToyDataset):
        def __init__(self, cache_dir: Path) -> None:
            super().__init__(cache_dir)
            self.context = f"number {next(counter)}"

        def inputs(self, split: Any) -> Any:
            return tuple(dataclasses.replace(one, context=self.context) for one in super().inputs(split))

    assert "the inputs of study train-0 are not the same twice" in failing("datasets", Draws, "same twice")


def test_the_toy_data_set_passes_and_shows_what_it_says(tmp_path: Path) -> None:
    assert failures("datasets", ToyDataset) == {}
    toy = ToyDataset(tmp_path, studies=4)
    assert isinstance(toy, Dataset)
    assert [len(toy.inputs(split)) for split in SPLITS] == [4, 2, 2]
    for split in SPLITS:
        for inputs, targets in zip(toy.inputs(split), toy.targets(split)):
            pixels = np.asarray(Image.open(inputs.images[0]))
            brighter = "right" if pixels[:, 16:].mean() > pixels[:, :16].mean() else "left"
            assert f"on the {brighter} side" in targets.report
