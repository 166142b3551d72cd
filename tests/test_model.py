"""Views are folded and masked, frozen parts stay as they are, and wrong components are named."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rrgbench import ConfigError, PluginError
from rrgbench.batches import StudySet
from rrgbench.model import Model, is_frozen
from rrgbench.types import Features

_spec = importlib.util.spec_from_file_location("rrgbench_toys", Path(__file__).with_name("toys.py"))
toys = sys.modules.setdefault("rrgbench_toys", importlib.util.module_from_spec(_spec))
if not hasattr(toys, "make_model"):
    _spec.loader.exec_module(toys)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_a_study_is_encoded_the_same_with_and_without_padded_views():
    model, data = toys.make_model().eval(), toys.make_set(6)
    together = model.encode(data.inputs_batch(range(6)))
    for index in range(6):
        alone = model.encode(data.inputs_batch([index]))
        for source in ("image", "text"):
            mask = together[source].mask[index]
            assert int(mask.sum()) == int(alone[source].mask.sum())
            torch.testing.assert_close(together[source].hidden_states[index][mask], alone[source].hidden_states[0])
    assert not together["image"].hidden_states[~together["image"].mask].any()


def test_padded_views_touch_no_batch_statistic():
    # Studies 0 and 3 have one view; with study 2 (three views) in the batch theirs are padded.
    inputs, _, pixels = toys.make_studies(6)
    model = toys.make_model(sources=("image",))
    model.train().memory(StudySet(inputs, pixels=pixels).inputs_batch([0, 2, 3]))
    starts = np.cumsum([0, *(len(study.images) for study in inputs)])
    films = [pixels[starts[0]], *pixels[starts[2] : starts[3]], pixels[starts[3]]]
    encoder = model.encoders["image"]
    mean = encoder.patches(torch.from_numpy(np.stack(films)).float() / 255).mean(dim=(0, 2, 3))
    torch.testing.assert_close(encoder.norm.running_mean / 0.1, mean, atol=0.05, rtol=0)
    assert int(encoder.norm.num_batches_tracked) == 1


def test_tokens_of_views_lie_end_to_end_with_their_view_added():
    model, data = toys.make_model().eval(), toys.make_set(3)
    batch = data.inputs_batch([2])
    found = model.encode(batch)["image"]
    assert found.hidden_states.shape == (1, 3 * 4, toys.WIDTH)
    assert found.view_ids.tolist() == [[1] * 4 + [2] * 4 + [3] * 4]
    encoder = model.encoders["image"]
    second = encoder(encoder.transform(batch.pixel_values[:, 1], False))[0] + model.view_embedding.weight[2]
    torch.testing.assert_close(found.hidden_states[0, 4:8], second)


def test_training_mode_decides_on_augmentation():
    model, batch = toys.make_model(), toys.make_set(3).inputs_batch([0])
    seen = []
    encoder = model.encoders["image"]
    encoder.transform = lambda pixels, train: (seen.append(train), pixels.float())[1]
    model.train().memory(batch)
    model.eval().memory(batch)
    assert seen == [True, False]


def test_a_study_without_active_nodes_keeps_its_null_token():
    inputs, _, _ = toys.make_studies(2)
    active = np.array([[True, False, True, False, False], [False] * 5])
    model = toys.make_model(sources=("knowledge",)).eval()
    found = model.encode(StudySet(inputs, active_nodes=active).inputs_batch([0, 1]))["knowledge"]
    assert found.mask.tolist() == [active[0].tolist(), [True, False, False, False, False]]
    assert torch.equal(found.hidden_states[1, 0], model.encoders["knowledge"].null)


def test_any_subset_of_sources_makes_a_model():
    inputs, targets, pixels = toys.make_studies(3)
    data = StudySet(
        inputs, pixels=pixels, context_tokenizer=toys.ToyTokenizer(), targets=targets, report_tokenizer=toys.ToyTokenizer(),
        active_nodes=np.ones((3, 5), dtype=bool),
    )  # fmt: skip
    for sources in (("image",), ("text",), ("knowledge",), ("image", "knowledge"), ("image", "text", "knowledge")):
        model = toys.make_model(sources=sources)
        output = model(data.inputs_batch([0, 1, 2]), data.targets_batch([0, 1, 2]))
        assert tuple(output.features) == sources
        assert output.logits.shape == (3, data.targets_batch([0, 1, 2]).input_ids.shape[1], 17)


def test_every_parameter_belongs_to_one_named_module():
    model = toys.make_model()
    grouped = model.parameters_by_module()
    assert list(grouped) == ["image", "text", "fusion", "decoder"] == list(model.modules_by_name())
    assert "view_embedding.weight" in grouped["image"]
    assert sorted(name for names in grouped.values() for name in names) == sorted(name for name, _ in model.named_parameters())


def test_a_frozen_encoder_builds_no_graph_and_does_not_drift():
    model, data = toys.make_model(), toys.make_set(6)
    encoder = model.encoders["image"].requires_grad_(False)
    assert is_frozen(encoder)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    model.train()
    assert not encoder.training and model.fusion.training
    seen = []
    encoder.register_forward_hook(lambda module, given, tokens: seen.append(torch.is_grad_enabled()))
    output = model(data.inputs_batch(range(6)), data.targets_batch(range(6)))
    output.logits.sum().backward()
    assert seen == [False]
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert model.view_embedding.weight.grad is not None
    assert model.fusion.project["text"].weight.grad is not None
    encoder.requires_grad_(True)
    assert model.train().encoders["image"].training


class _Wrong(nn.Module):
    def __init__(self, give) -> None:
        super().__init__()
        self.give = give

    def forward(self, features):
        return self.give(next(iter(features.values())))


@pytest.mark.parametrize(
    ("give", "told"),
    [
        (lambda image: image.hidden_states, "gave no Features; got Tensor"),
        (
            lambda image: Features(image.hidden_states[..., :5], image.mask),
            r"wrong tokens; got \(3, 12, 5\); expected \(3, N, 16\)",
        ),
        (lambda image: Features(image.hidden_states[:, 0], image.mask), r"wrong tokens; got \(3, 16\)"),
        (lambda image: Features(image.hidden_states[:2], image.mask), "wrong tokens"),
        (
            lambda image: Features(image.hidden_states, image.mask[:, 1:]),
            r"wrong mask; got torch.bool \(3, 11\); expected bool \(3, 12\)",
        ),
        (lambda image: Features(image.hidden_states, image.mask.float()), "wrong mask; got torch.float32"),
        (lambda image: Features(image.hidden_states, image.mask & False), "masks every token of a study"),
    ],
)
def test_a_wrong_fusion_is_named_with_what_it_gave(give, told: str):
    model = Model({"image": toys.ToyImageEncoder()}, _Wrong(give), toys.ToyDecoder())
    with pytest.raises(PluginError, match=f"fusion _Wrong.*{told}"):
        model.memory(toys.make_set(3).inputs_batch(range(3)))


def test_wrong_encoders_and_decoders_are_named_too():
    batch, targets = toys.make_set(3).inputs_batch(range(3)), toys.make_set(3).targets_batch(range(3))
    model = toys.make_model()
    model.encoders["image"].num_features = 5
    with pytest.raises(PluginError, match="image encoder ToyImageEncoder: wrong tokens"):
        model.encode(batch)
    model = toys.make_model()
    model.encoders["text"].forward = lambda ids, mask: torch.zeros(3, 2, toys.WIDTH)
    with pytest.raises(PluginError, match="text encoder ToyTextEncoder: wrong tokens"):
        model.encode(batch)
    model = toys.make_model()
    model.decoder.forward = lambda memory, ids, mask: torch.zeros(3, 17)
    with pytest.raises(PluginError, match="decoder ToyDecoder: wrong logits"):
        model(batch, targets)


def test_a_batch_without_what_the_model_reads_is_an_error():
    batch = toys.make_set(3).inputs_batch(range(3))
    with pytest.raises(ConfigError, match="reads context"):
        toys.make_model().memory(replace(batch, context_ids=None))
    with pytest.raises(ConfigError, match="reads films"):
        toys.make_model().memory(replace(batch, pixel_values=None))


class _Told(toys.ToyDecoder):
    """Keeps what its memory said of active nodes."""

    cues = None

    def forward(self, memory, input_ids, attention_mask):
        self.heard = memory.active_nodes
        return super().forward(memory, input_ids, attention_mask)


def test_active_nodes_go_with_the_memory_and_a_decoder_alone_is_told_none():
    inputs, targets, pixels = toys.make_studies(3)
    active = np.random.default_rng(0).random((3, 5)) < 0.5
    words = toys.ToyTokenizer()
    data = StudySet(
        inputs, pixels=pixels, context_tokenizer=words, targets=targets, report_tokenizer=words, active_nodes=active
    )  # fmt: skip
    model = toys.make_model(sources=("image",))
    model.decoder, model.needs = _Told(), frozenset({"logits"})
    batch, reports = data.inputs_batch([2, 0]), data.targets_batch([2, 0])
    for memory in (model(batch, reports).memory, model.memory(batch)):
        assert memory.active_nodes.tolist() == active[[2, 0]].tolist()
    assert model.decoder.heard.tolist() == active[[2, 0]].tolist()
    model.needs = frozenset({"lm_logits"})
    model(batch, reports)
    assert model.decoder.heard is None


def test_cues_without_active_nodes_are_refused():
    model = toys.make_model(sources=("image",))
    model.decoder.cues = object()
    with pytest.raises(ConfigError, match="the decoder's cues read active nodes, but the study set has none"):
        model.memory(toys.make_set(3).inputs_batch([0]))
