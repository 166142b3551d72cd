"""Adapters keep the contract, and change what they say: layers of models as they are, and nothing else."""

from __future__ import annotations

import builtins
import copy
from typing import Any

import pytest
import timm
import torch
from rrgbench_adapters import Bottleneck, Frozen, Ia3, Lora, Qlora, rrgbench_adapters
from torch import Tensor, nn
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

from rrgbench import ConfigError
from rrgbench.testing import AdapterContract

torch.set_num_threads(1)


class TestFrozen(AdapterContract):
    component = Frozen


class TestLora(AdapterContract):
    component = Lora


class TestLoraWithItsOptions(AdapterContract):
    component = Lora
    options = {"rank": 2, "alpha": 4.0, "dropout": 0.2, "targets": ["second"], "whole": ["norm"]}


class TestIa3(AdapterContract):
    component = Ia3


class TestIa3OnInputs(AdapterContract):
    component = Ia3
    options = {"targets": ["first", "second"], "inner": ["second"]}


class TestBottleneck(AdapterContract):
    component = Bottleneck


class TestQlora(AdapterContract):
    """On the CPU, which the library can work on too; that a GPU is asked for is tested below."""

    component = Qlora
    options = {"compute": "float32"}
    tolerance = 0.3  # 4 bits are not exact

    @pytest.fixture(autouse=True)
    def _gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def toy() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def test_the_hook_offers_it() -> None:
    assert rrgbench_adapters() == {"frozen": Frozen, "lora": Lora, "qlora": Qlora, "ia3": Ia3, "bottleneck": Bottleneck}


@pytest.mark.parametrize("within", [False, True])
def test_it_stays_in_evaluation_mode_whoever_calls_train(within: bool) -> None:
    frozen = Frozen(toy())()
    whole = nn.ModuleList([frozen, nn.Dropout()]) if within else frozen
    whole.train()
    assert not any(module.training for module in frozen.modules())
    assert whole.training == within


def test_training_passes_change_neither_parameters_nor_batch_statistics() -> None:
    module = toy()
    before = copy.deepcopy(module.state_dict())
    frozen = Frozen(module)().train()
    frozen(torch.randn(8, 4))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())


def test_a_gradient_passes_through_to_what_comes_before() -> None:
    x = torch.randn(8, 4, requires_grad=True)
    Frozen(toy())()(x).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_the_names_of_the_state_dict_are_those_without_the_adapter() -> None:
    assert list(Frozen(toy())().state_dict()) == list(toy().state_dict())


def test_the_module_keeps_its_class_and_can_be_copied() -> None:
    frozen = Frozen(toy())()
    assert isinstance(frozen, nn.Sequential) and len(frozen) == 3
    twin = copy.deepcopy(frozen).train()
    assert not twin.training and torch.equal(twin[0].weight, frozen[0].weight)


def test_freezing_twice_is_freezing_once() -> None:
    once = type(Frozen(toy())())
    assert [base.__name__ for base in type(Frozen(Frozen(toy())())()).__mro__] == [base.__name__ for base in once.__mro__]


def test_other_modules_of_the_class_are_not_touched() -> None:
    Frozen(toy())()
    assert toy().train().training


def bert() -> BertModel:
    torch.manual_seed(0)
    return BertModel(
        BertConfig(vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32),
        add_pooling_layer=False,
    )


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=30, n_positions=16, n_embd=16, n_layer=2, n_head=2))


def trained(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


MODELS = {
    "vit": lambda: timm.create_model("test_vit", num_classes=0),
    "swin": lambda: timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=0, img_size=64, window_size=8, depths=(1, 1), embed_dim=16, num_heads=(1, 2)
    ),
    "eva": lambda: timm.create_model("eva02_tiny_patch14_224", num_classes=0, img_size=28, depth=2, embed_dim=48, num_heads=3),
    "beit": lambda: timm.create_model("beit_base_patch16_224", num_classes=0, img_size=32, depth=2, embed_dim=48, num_heads=3),
    "swin_v2": lambda: timm.create_model(
        "swinv2_tiny_window8_256", num_classes=0, img_size=64, window_size=8, depths=(1, 1), embed_dim=16, num_heads=(1, 2)
    ),
    "convnext": lambda: timm.create_model("test_convnext", num_classes=0),
    "resnet": lambda: timm.create_model("test_resnet", num_classes=0),
}
"""Small models of the families; eva, beit and swin_v2 read the weights of layers that they never call."""


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("adapter", [Lora, Ia3, Bottleneck])
def test_everything_that_is_trained_is_reached_in_models_as_they_are(family: str, adapter: Any) -> None:
    torch.manual_seed(0)
    model = MODELS[family]()
    with torch.no_grad():  # some start with a factor of 0 after each block
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    size = {"eva": 28, "beit": 32}.get(family, 64)
    films = torch.randn(2, 3, size, size)
    plain = model.eval()(films)
    adapted = adapter(model)().eval()
    assert torch.allclose(adapted(films), plain, atol=1e-5)
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
            assert "base_layer" not in name
    answer = adapted(films)
    (answer * torch.randn(answer.shape)).sum().backward()
    dead = [name for name, one in adapted.named_parameters() if one.requires_grad and (one.grad is None or not one.grad.any())]
    assert not dead and trained(adapted)
    share = sum(one.numel() for one in adapted.parameters() if one.requires_grad) / sum(one.numel() for one in model.parameters())
    assert share < 0.5


@pytest.mark.parametrize("family", ["vit", "eva", "swin_v2", "resnet"])
@pytest.mark.parametrize("adapter", [Lora, Ia3])
def test_merged_models_answer_as_adapted_ones(family: str, adapter: Any) -> None:
    torch.manual_seed(0)
    model = MODELS[family]()
    names = list(model.state_dict())
    held = adapter(model)
    adapted = held().eval()
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter.add_(0.05 * torch.randn(parameter.shape))
    films = torch.randn(2, 3, *((28, 28) if family == "eva" else (64, 64)))
    learnt = adapted(films)
    merged = held.merge()
    assert list(merged.state_dict()) == names
    assert torch.allclose(merged.eval()(films), learnt, atol=1e-4, rtol=1e-3)
    assert merged.train().training and all(module.training for module in merged.modules())


def test_a_weight_that_is_shared_is_left() -> None:
    adapted = Lora(gpt2())()
    assert not any("lm_head" in name or "wte" in name for name in trained(adapted))
    assert sum("lora_A" in name for name in trained(adapted)) == 2 * 4
    assert adapted.lm_head.weight is adapted.transformer.wte.weight


@pytest.mark.parametrize("adapter", [Lora, Ia3, Bottleneck])
def test_language_models_are_adapted(adapter: Any) -> None:
    ids = torch.arange(12).view(2, 6)
    for model, read in ((bert(), "last_hidden_state"), (gpt2(), "logits")):
        plain: Tensor = getattr(model.eval()(input_ids=ids), read)
        adapted = adapter(model)().eval()
        assert torch.allclose(getattr(adapted(input_ids=ids), read), plain, atol=1e-5)


def test_a_bottleneck_stands_at_the_end_of_each_block() -> None:
    places = {name.partition(".up")[0] for name in trained(Bottleneck(bert())()) if ".up" in name}
    assert places == {f"encoder.layer.{layer}.output.dense" for layer in (0, 1)}


def test_batch_statistics_of_a_frozen_base_stay() -> None:
    adapted = Lora(MODELS["resnet"]())().train()
    before = copy.deepcopy({name: one for name, one in adapted.state_dict().items() if "running" in name})
    adapted(torch.randn(4, 3, 32, 32))
    assert before and all(torch.equal(one, adapted.state_dict()[name]) for name, one in before.items())


def test_what_is_named_whole_is_trained_whole() -> None:
    names = trained(Lora(bert(), targets=["query"], whole=["embeddings.LayerNorm", "layer.1.output"])())
    whole = {name for name in names if "lora" not in name}
    assert "embeddings.LayerNorm.weight" in whole and "encoder.layer.1.output.dense.bias" in whole
    assert not any(".layer.0." in name for name in whole)
    assert sum("lora_A" in name for name in names) == 2


@pytest.mark.parametrize("adapter", [Lora, Ia3, Bottleneck])
def test_what_is_trained_whole_is_not_adapted_unless_it_is_a_target(adapter: Any) -> None:
    def under_the_first(**options: Any) -> set[str]:
        names = trained(adapter(bert(), whole=["layer.0"], **options)())
        return {name for name in names if ".layer.0." in name and any(word in name for word in ("lora", "ia3", "down", "up."))}

    assert not under_the_first()
    assert under_the_first(targets=["dense"])


@pytest.mark.parametrize("adapter", [Lora, Ia3, Bottleneck])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"targets": ["query", "qvery"]},
            "a target names no layer; got qvery; expected the end of a name: dense, key, query, value",
        ),
        ({"targets": ["word_embeddings"]}, "a target names no layer"),
        ({"whole": ["no_such_part"]}, "`whole` names nothing; got no_such_part; expected a part: embeddings, encoder"),
    ],
)
def test_a_name_of_nothing_is_a_mistake(adapter: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=r"adapter `\w+` of BertModel") as caught:
        adapter(bert(), **options)()
    assert words in str(caught.value)


@pytest.mark.parametrize("adapter", [Lora, Ia3, Bottleneck])
def test_a_module_without_layers_cannot_be_adapted(adapter: Any) -> None:
    with pytest.raises(ConfigError, match="there is no layer to adapt"):
        adapter(nn.LayerNorm(4))()


def without(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    found = builtins.__import__

    def imported(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return found(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", imported)


@pytest.mark.parametrize(
    ("adapter", "library", "words"),
    [
        (Lora, "peft", r'adapter `lora` needs peft; got not installed\. Hint: pip install "rrgbench\[peft\]"'),
        (Ia3, "peft", "adapter `ia3` needs peft"),
        (Qlora, "bitsandbytes", r'needs bitsandbytes; got not installed\. Hint: pip install "rrgbench\[qlora\]"'),
    ],
)
def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, adapter: Any, library: str, words: str) -> None:
    without(monkeypatch, library)
    with pytest.raises(ConfigError, match=words):
        adapter(toy())()


def test_qlora_asks_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="adapter `qlora` needs a GPU; got none that torch can use"):
        Qlora(toy())()


def test_qlora_holds_the_base_in_four_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    model = gpt2()
    layers = [model.transformer.h[0].mlp.c_fc.weight.detach().clone()]
    held = Qlora(model, compute="float32")
    adapted = held().eval()
    base = adapted.transformer.h[0].mlp.c_fc.base_layer
    assert base.weight.dtype == torch.uint8 and base.weight.numel() == layers[0].numel() // 2
    assert not hasattr(adapted, "is_loaded_in_4bit")
    merged = held.merge().transformer.h[0].mlp.c_fc.weight
    assert merged.dtype == torch.float32 and torch.corrcoef(torch.stack([merged.T.flatten(), layers[0].flatten()]))[0, 1] > 0.95
