"""Adapters of the library peft, put into a module in place: LoRA and (IA)3."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from rrgbench import ConfigError
from rrgbench_adapters.frozen import hold_statistics, release
from rrgbench_adapters.layers import chosen, open_whole, replace_layer


class Lora:
    """Low-rank changes of weights beside a frozen base (Hu et al. 2021): W + alpha / rank * B A, B = 0 at the start.

    Args:
        module: it is changed in place.
        rank, alpha, dropout: of the change.
        targets: ends of the names of the layers to change (``[qkv, fc2]``); without, every linear layer, and every convolution
            where there is no linear layer. Weights that are shared (an output layer tied to its embedding) are left.
        whole: ends of the names of parts that are trained whole beside it, such as layers that no weights were loaded for.

    Raises:
        ConfigError: a target names no layer, there is none, or peft is missing.
    """

    trains: ClassVar[bool] = True
    merges: ClassVar[bool] = True

    def __init__(
        self,
        module: nn.Module,
        *,
        rank: Annotated[int, Field(gt=0)] = 8,
        alpha: Annotated[float, Field(gt=0)] = 16.0,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        targets: Sequence[str] | None = None,
        whole: Sequence[str] = (),
    ) -> None:
        self.module, self.rank, self.alpha, self.dropout = module, rank, alpha, dropout
        self.targets, self.whole = targets, whole

    def __call__(self) -> nn.Module:
        """The module: every parameter frozen but those of the change."""
        names = list(chosen("lora", self.module, self.targets, whole=self.whole))
        return put_lora("lora", self.module, names, self.rank, self.alpha, self.dropout, self.whole)

    def merge(self) -> nn.Module:
        """The module without the adapter, what it learnt added to the weights; everything is trained again."""
        return take_out(self.module)


class Ia3:
    """(IA)3 (Liu et al. 2022): a learnt factor for each output of a layer, or for each input of those in ``inner``; 1 at the
    start.

    Args:
        module: it is changed in place.
        targets: ends of the names of the layers to scale; without, every linear layer, and every convolution where there is no
            linear layer. The paper's choice is keys, values and, as ``inner``, the second layer of each feed-forward.
        inner: those of the targets whose inputs are scaled instead.
        whole: ends of the names of parts that are trained whole beside it.

    Raises:
        ConfigError: a target names no layer, there is none, or peft is missing.
    """

    trains: ClassVar[bool] = True
    merges: ClassVar[bool] = True

    def __init__(
        self, module: nn.Module, *, targets: Sequence[str] | None = None, inner: Sequence[str] = (), whole: Sequence[str] = ()
    ) -> None:
        self.module, self.targets, self.inner, self.whole = module, targets, inner, whole

    def __call__(self) -> nn.Module:
        """The module: every parameter frozen but the factors."""
        names = list(chosen("ia3", self.module, self.targets, whole=self.whole))
        inner = [name for name in chosen("ia3", self.module, self.inner) if name in names] if self.inner else []
        peft = library("ia3")
        return put("ia3", self.module, peft.IA3Config(target_modules=names, feedforward_modules=inner), self.whole)

    def merge(self) -> nn.Module:
        """The module without the adapter, its factors multiplied into the weights; everything is trained again."""
        return take_out(self.module)


def library(adapter: str) -> Any:
    """peft, which takes a second to import.

    Raises:
        ConfigError: it is not installed.
    """
    # It imports bitsandbytes where that is installed, which complains of kernels for a CPU that nobody asked for.
    talking = logging.getLogger("bitsandbytes.backends.cpu.ops")
    level = talking.level
    talking.setLevel(logging.ERROR)
    try:
        import peft
    except ImportError as error:
        raise ConfigError(f"adapter `{adapter}` needs peft", got="not installed", hint='pip install "rrgbench[peft]"') from error
    finally:
        talking.setLevel(level)
    return peft


def put_lora(
    adapter: str, module: nn.Module, names: Sequence[str], rank: int, alpha: float, dropout: float, whole: Sequence[str]
) -> nn.Module:
    """LoRA on the layers of these names."""
    config = library(adapter).LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(names))
    return put(adapter, module, config, whole)


def put(adapter: str, module: nn.Module, config: Any, whole: Sequence[str]) -> nn.Module:
    """An adapter of peft into the module, in place; the base is frozen."""
    from transformers.pytorch_utils import Conv1D

    names = set(config.target_modules)
    # peft asks for this word beside layers that hold their weights transposed.
    config.fan_in_fan_out = any(isinstance(module.get_submodule(name), Conv1D) for name in names)
    hold_statistics(module)
    module.requires_grad_(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to True")  # among such layers there may be others
        library(adapter).inject_adapter_in_model(config, module)
    for layer in _layers(module):
        # Some models (EVA, Swin v2, BEiT) read the weight of a layer and never call it: they must read what was learnt too.
        kind = type(layer)
        layer.__class__ = type(kind.__name__, (_ReadWhole, kind), {"__doc__": kind.__doc__})
    open_whole(adapter, module, whole)
    return module


class _ReadWhole:
    """Mixed in before a layer of peft: its ``weight`` is the one that it works with, not the frozen one."""

    active_adapters: list[str]

    @property
    def weight(self) -> Tensor:
        layer: Any = self
        base: Tensor = layer.get_base_layer().weight
        if layer.merged or layer.disable_adapters or not base.is_floating_point():
            return base
        for name in layer.active_adapters:
            if hasattr(layer, "ia3_l"):
                factor = layer.ia3_l[name].to(base.dtype)
                base = base * (factor.T if getattr(layer, "fan_in_fan_out", False) else factor)
            elif name in layer.lora_A:
                base = base + layer.get_delta_weight(name)
        return base


def _layers(module: nn.Module) -> list[Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [layer for layer in module.modules() if isinstance(layer, BaseTunerLayer)]


def take_out(module: nn.Module) -> nn.Module:
    """The module with the names it had before, what peft's layers learnt merged into its weights, and all of it trained."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in [(name, layer) for name, layer in module.named_modules() if isinstance(layer, BaseTunerLayer)]:
        layer.merge()
        replace_layer(module, name, layer.get_base_layer())
    for each in module.modules():
        release(each)
    return module.requires_grad_(True)
