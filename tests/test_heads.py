"""Parts of a model: heads for losses beside the report's, and films that a frozen encoder has read once."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rrgbench.batches import StudySet
from rrgbench.errors import ConfigError, DataError, StoreError
from rrgbench.heads import Heads
from rrgbench.model import Model
from rrgbench.training import load_parts, save_model
from rrgbench.training.recipe import Recipe, make_optimizer, parameter_counts, trained
from rrgbench.types import Features

_spec = importlib.util.spec_from_file_location("toys", Path(__file__).with_name("toys.py"))
assert _spec is not None and _spec.loader is not None
toys = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toys)

torch.set_num_threads(1)
EVERYONE = list(range(11))


def _encoders(*sources: str) -> dict[str, torch.nn.Module]:
    return {source: {"image": toys.ToyImageEncoder, "text": toys.ToyTextEncoder}[source]() for source in sources}


def _aligning() -> Model:
    torch.manual_seed(0)
    encoders = _encoders("image", "text")
    dims = {source: encoder.num_features for source, encoder in encoders.items()}
    return Model(encoders, heads=Heads(dims, embedding_dim=6, findings=3))


def _set(**more: object) -> StudySet:
    return toys.make_set(report_encoder_tokenizer=toys.ToyTokenizer(), label_names=("effusion",), **more)


def test_a_model_without_decoder_gives_what_its_heads_make_and_no_logits() -> None:
    data, model = _set(), _aligning().eval()
    output = model(data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE))
    assert output.logits is None
    assert output.memory is None
    assert output.image_embedding.shape == output.report_embedding.shape == (11, 6)
    for embedding in (output.image_embedding, output.report_embedding):
        assert torch.allclose(embedding.norm(dim=1), torch.ones(11))
    assert output.finding_logits.shape == (11, 3)
    assert torch.allclose(output.logit_scale, torch.tensor(1 / 0.07))


def test_the_scale_is_learnt_and_bounded() -> None:
    model = _aligning()
    with torch.no_grad():
        model.heads.log_scale.fill_(9.0)
    assert model.heads.scale() == 100
    assert "heads.log_scale" in model.parameters_by_module()["heads"]


def test_embeddings_are_of_each_side_alone() -> None:
    data, model = _set(), _aligning().eval()
    inputs, targets = data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE)
    image, report = model.embed(inputs, targets)
    order = [*EVERYONE[1:], 0]
    moved_image, same_report = model.embed(data.inputs_batch(order), targets)
    assert torch.allclose(same_report, report)
    assert torch.allclose(moved_image, image[order], atol=1e-6)
    alone, _ = model.embed(data.inputs_batch([3]), data.targets_batch([3]))
    assert torch.allclose(alone[0], image[3], atol=1e-6), "padding and neighbours do not matter"


def test_the_mean_is_over_real_tokens_alone() -> None:
    heads = Heads({"image": 2}, findings=1)
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [99.0, 99.0]]])
    mask = torch.tensor([[True, True, False]])
    expected = heads.findings(torch.tensor([[2.0, 3.0]]))
    assert torch.allclose(heads.finding_logits(Features(hidden, mask)), expected)


def test_heads_are_trained_whatever_a_stage_trains_and_have_their_own_rate() -> None:
    model = _aligning()
    recipe = Recipe(epochs=1, train=("image",), lr={"default": 1e-3, "heads": 1e-2})
    with trained(model, recipe):
        counts = parameter_counts(model)
        peaks = {group["module"]: group["peak"] for group in make_optimizer(model, recipe).param_groups}
    assert counts["text"]["trainable"] == 0
    assert counts["heads"]["trainable"] == counts["heads"]["total"] > 0
    assert peaks == {"image": 1e-3, "heads": 1e-2}


def test_films_that_were_read_once_give_the_same_as_films_read_now() -> None:
    torch.manual_seed(1)
    model = toys.make_model(sources=("image", "text"))
    model.augment = False
    inputs, targets, pixels = toys.make_studies(11)
    live = StudySet(
        inputs, pixels=pixels, context_tokenizer=toys.ToyTokenizer(), targets=targets, report_tokenizer=toys.ToyTokenizer()
    )
    with trained(model, Recipe(epochs=1, train=("text", "fusion", "decoder"))):
        for mode in (True, False):
            model.train(mode)
            with torch.inference_mode():
                tokens = model.film_tokens(torch.from_numpy(pixels)).numpy()
            kept = StudySet(
                inputs,
                image_tokens=tokens,
                context_tokenizer=toys.ToyTokenizer(),
                targets=targets,
                report_tokenizer=toys.ToyTokenizer(),
            )
            torch.manual_seed(5)
            one = model(live.inputs_batch(EVERYONE), live.targets_batch(EVERYONE)).logits
            torch.manual_seed(5)
            two = model(kept.inputs_batch(EVERYONE), kept.targets_batch(EVERYONE)).logits
            assert torch.allclose(one, two, atol=1e-6)
            assert torch.is_grad_enabled() and two.requires_grad


def test_kept_films_must_be_those_of_the_studies() -> None:
    inputs, _, pixels = toys.make_studies(3)
    for wrong in (
        np.zeros((len(pixels) - 1, 4, 2), np.float32),
        np.zeros((len(pixels), 4, 2)),
        np.zeros((len(pixels), 8), np.float32),
    ):
        with pytest.raises(DataError, match="the prepared films are not those of the studies"):
            StudySet(inputs, image_tokens=wrong)


def test_a_model_that_embeds_says_what_it_lacks() -> None:
    data = toys.make_set()
    with pytest.raises(ConfigError, match="reads reports"):
        _aligning()(data.inputs_batch([0]), data.targets_batch([0]))
    with pytest.raises(ConfigError, match="reads embeddings"):
        toys.make_model().embed(data.inputs_batch([0]), data.targets_batch([0]))


def test_checkpoints_of_parts_are_read_in_order_and_what_none_holds_is_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    image = Model(_encoders("image"), heads=Heads({"image": toys.ToyImageEncoder().num_features}, findings=2))
    both = _aligning()
    save_model(image, tmp_path / "image.safetensors")
    save_model(both, tmp_path / "both.safetensors")
    target = toys.make_model(seed=9)
    fresh = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    missing = load_parts(target, [tmp_path / "image.safetensors"])
    found = target.state_dict()
    for name, tensor in image.state_dict().items():
        if not name.startswith("heads."):
            assert torch.equal(found[name], tensor)
    elsewhere = {name for name in fresh if not name.startswith(("encoders.image", "view_embedding"))}
    assert missing == elsewhere - {"decoder.head.weight"}, "tied to the embedding, and told once"
    assert all(torch.equal(found[name], fresh[name]) for name in missing)
    load_parts(target, [tmp_path / "image.safetensors", tmp_path / "both.safetensors"])
    assert torch.equal(target.state_dict()["view_embedding.weight"], both.state_dict()["view_embedding.weight"])


def test_a_part_of_another_shape_is_refused(tmp_path: Path) -> None:
    save_model(Model({}, heads=Heads({"image": 4}, findings=2)), tmp_path / "heads.safetensors")
    with pytest.raises(StoreError, match=r"is not of this model: heads\.findings"):
        load_parts(Model({}, heads=Heads({"image": 4}, findings=3)), [tmp_path / "heads.safetensors"])


def test_an_adapted_part_is_not_begun_anew_in_silence(tmp_path: Path) -> None:
    """Its tensors have other names: what is loaded is nothing, and the stage would train from scratch."""
    inner = toys.make_model(sources=("image",))
    save_model(inner, tmp_path / "plain.safetensors")
    renamed = {
        name.replace("encoders.image.", "encoders.image.module."): tensor
        for name, tensor in load_file(tmp_path / "plain.safetensors").items()
    }
    save_file(renamed, tmp_path / "wrapped.safetensors")
    with pytest.raises(StoreError, match=r"holds encoders\.image with other names of its tensors"):
        load_parts(toys.make_model(sources=("image",)), [tmp_path / "wrapped.safetensors"])


def test_a_loss_on_one_embedding_needs_one_encoder() -> None:
    heads = Heads({"image": 8}, embedding_dim=4)
    assert heads.report_projection is None
    assert heads.embed_image(Features(torch.ones(2, 3, 8), torch.ones(2, 3, dtype=torch.bool))).shape == (2, 4)
