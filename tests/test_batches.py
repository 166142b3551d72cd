"""Films become pixels, texts become ids, and nothing of a target reaches a set that has none."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rrgbench import VIEWS, DataError, Inputs, PluginError
from rrgbench.batches import StudySet, prepare_pixels, write_pixels

_spec = importlib.util.spec_from_file_location("rrgbench_toys", Path(__file__).with_name("toys.py"))
toys = sys.modules.setdefault("rrgbench_toys", importlib.util.module_from_spec(_spec))
if not hasattr(toys, "make_model"):
    _spec.loader.exec_module(toys)


@pytest.fixture
def films(tmp_path: Path) -> list[Inputs]:
    random = np.random.default_rng(0)
    inputs = []
    for number, count in enumerate((2, 1, 2)):
        paths = tuple(tmp_path / f"{number}-{view}.png" for view in range(count))
        for path in paths:
            Image.fromarray(random.integers(0, 256, (12, 10), dtype=np.uint8)).save(path)
        inputs.append(Inputs(f"s{number}", "p", paths, ("frontal", "lateral")[:count], "the heart"))
    return inputs


def test_written_pixels_equal_prepared_pixels_and_can_be_mapped(films, tmp_path: Path):
    encoder, told = toys.ToyImageEncoder(), []
    shape = write_pixels(tmp_path / "pixels.npy", films, encoder.prepare, lambda *what: told.append(what))
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    assert shape == mapped.shape == (5, 1, 8, 8)
    assert mapped.dtype == np.uint8
    assert (mapped == prepare_pixels(films, encoder.prepare)).all()
    assert told[-1] == (5, 5, "films")
    for place, path in enumerate(path for study in films for path in study.images):
        assert (mapped[place] == encoder.prepare(Image.open(path)).numpy()).all()


@pytest.mark.parametrize("what", ["missing", "truncated", "text", "bomb", "postscript", "folder"])
def test_a_film_that_cannot_be_read_is_named_in_one_line(films, tmp_path: Path, what: str, monkeypatch):
    path = films[1].images[0]
    if what == "missing":
        path.unlink()
    elif what == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    elif what == "text":
        path.write_text("not a film")
    elif what == "bomb":
        Image.fromarray(np.zeros((40, 40), dtype=np.uint8)).save(path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    elif what == "postscript":
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EOF\n")
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(DataError) as error:
        prepare_pixels(films, toys.ToyImageEncoder().prepare)
    assert str(path) in str(error.value)
    assert "s1" in str(error.value)
    assert "\n" not in str(error.value)


def test_prepare_must_give_one_shape_of_bytes(films):
    with pytest.raises(PluginError, match="float32"):
        prepare_pixels(films, lambda image: torch.zeros(1, 4, 4))
    shapes = iter([(1, 4, 4), (1, 4, 5)])
    with pytest.raises(PluginError, match=r"another shape.*got \(1, 4, 5\); expected \(1, 4, 4\)"):
        prepare_pixels(films, lambda image: torch.zeros(next(shapes), dtype=torch.uint8))
    with pytest.raises(DataError, match="no study has a film"):
        prepare_pixels([replace(films[0], images=(), views=())], toys.ToyImageEncoder().prepare)


def test_views_and_words_are_padded_to_the_most_of_the_batch():
    inputs, targets, pixels = toys.make_studies(6)
    data = toys.make_set(6)
    batch = data.inputs_batch([4, 0, 3])
    assert batch.study_ids == ("s4", "s0", "s3")
    assert batch.pixel_values.shape == (3, 2, 1, 8, 8)
    assert batch.view_mask.tolist() == [[True, True], [True, False], [True, False]]
    assert batch.view_ids.tolist() == [[VIEWS.index("frontal"), VIEWS.index("lateral")], [1, 0], [1, 0]]
    starts = np.cumsum([0, *(len(study.images) for study in inputs)])
    assert (batch.pixel_values[0].numpy() == pixels[starts[4] : starts[4] + 2]).all()
    assert (batch.pixel_values[2, 0].numpy() == pixels[starts[3]]).all()
    assert not batch.pixel_values[1, 1].any()
    tokenizer = toys.ToyTokenizer()
    for row, index in enumerate((4, 0, 3)):
        ids = tokenizer.encode(inputs[index].context)
        assert batch.context_ids[row].tolist() == ids + [0] * (batch.context_ids.shape[1] - len(ids))
        assert int(batch.context_mask[row].sum()) == len(ids)
    wanted = data.targets_batch([4, 0, 3])
    longest = max(len(tokenizer.encode(targets[index].report)) for index in (4, 0, 3))
    assert wanted.input_ids.shape == wanted.attention_mask.shape == (3, longest)
    assert wanted.input_ids[0][wanted.attention_mask[0]].tolist() == tokenizer.encode(targets[4].report)


def test_a_mapped_file_gives_the_same_batches_as_memory(tmp_path: Path):
    inputs, _, pixels = toys.make_studies(5)
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = StudySet(inputs, pixels=np.load(tmp_path / "pixels.npy", mmap_mode="r"))
    assert torch.equal(
        mapped.inputs_batch([4, 2]).pixel_values, StudySet(inputs, pixels=pixels).inputs_batch([4, 2]).pixel_values
    )


def test_what_is_not_asked_for_is_none():
    inputs, targets, _ = toys.make_studies(3)
    batch = StudySet(inputs).inputs_batch([0, 1])
    assert (batch.pixel_values, batch.view_mask, batch.context_ids, batch.active_nodes) == (None, None, None, None)
    wanted = StudySet(inputs, targets=targets, report_tokenizer=toys.ToyTokenizer()).targets_batch([0])
    assert (wanted.report_ids, wanted.labels) == (None, None)


def test_labels_are_in_the_order_of_their_names_and_nan_where_unknown():
    labels = toys.make_set(4, label_names=("nodule", "effusion")).targets_batch([1, 2]).labels
    assert labels[:, 0].isnan().all()
    assert labels[:, 1].tolist() == [1, 0]


def test_reports_are_also_given_in_the_text_encoders_tokens():
    wanted = toys.make_set(4, report_encoder_tokenizer=toys.ToyTokenizer(max_length=4)).targets_batch([1, 2])
    assert wanted.report_ids.shape == (2, 4)
    assert wanted.input_ids.shape[1] > 4


def test_a_set_without_targets_cannot_give_them():
    with pytest.raises(DataError, match="no targets"):
        toys.make_set(3, targets=False).targets_batch([0])


def test_inputs_pixels_and_targets_must_belong_together():
    inputs, targets, pixels = toys.make_studies(3)
    with pytest.raises(DataError, match="same studies"):
        StudySet(inputs, targets=targets[::-1], report_tokenizer=toys.ToyTokenizer())
    with pytest.raises(DataError, match=r"expected uint8 \(6, C, H, W\)"):
        StudySet(inputs, pixels=pixels[:-1])
    with pytest.raises(DataError, match="study s0: unknown view; got oblique"):
        StudySet([replace(inputs[0], views=("oblique",))], pixels=pixels[:1])
    with pytest.raises(DataError, match="study s0; got 0 films"):
        StudySet([replace(inputs[0], images=(), views=())], pixels=pixels[:0])


def test_a_tokenizer_that_breaks_its_word_is_found_out():
    inputs, _, _ = toys.make_studies(3)
    tokenizer = toys.ToyTokenizer()
    tokenizer.vocab_size = 5
    with pytest.raises(PluginError, match="ToyTokenizer: the ids of study s1"):
        StudySet(inputs, context_tokenizer=tokenizer)
