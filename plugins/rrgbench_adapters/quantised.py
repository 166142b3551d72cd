"""QLoRA: LoRA beside a base of 4-bit weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from rrgbench import ConfigError
from rrgbench_adapters.layers import LINEAR, chosen, replace_layer
from rrgbench_adapters.low_rank import put_lora, take_out


class Qlora:
    """QLoRA (Dettmers et al. 2023): the linear layers that LoRA changes hold their frozen weights in 4 bits, by bitsandbytes.

    Args:
        module: it is changed in place.
        rank, alpha, dropout, targets, whole: as in ``lora``; convolutions stay out of it.
        kind: of the 4-bit numbers.
        double: quantise the scales too.
        compute: what the weights are turned into to be multiplied, and the precision of the biases of these layers.

    Raises:
        ConfigError: a target names no linear layer, there is none, bitsandbytes or peft is missing, or there is no GPU.
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
        kind: Literal["nf4", "fp4"] = "nf4",
        double: bool = True,
        compute: Literal["bfloat16", "float16", "float32"] = "bfloat16",
    ) -> None:
        self.module, self.rank, self.alpha, self.dropout = module, rank, alpha, dropout
        self.targets, self.whole = targets, whole
        self.kind, self.double, self.compute = kind, double, compute

    def __call__(self) -> nn.Module:
        """The module: its linear layers in 4 bits, every parameter frozen but those of the change."""
        quantise = _quantiser(self.kind, self.double, self.compute)
        layers = chosen("qlora", self.module, self.targets, LINEAR, self.whole)
        for name, layer in layers.items():
            replace_layer(self.module, name, quantise(layer))
        marked: Any = self.module
        marked.is_loaded_in_4bit = True  # peft looks for this word; accelerate must not find it later
        try:
            return put_lora("qlora", self.module, list(layers), self.rank, self.alpha, self.dropout, self.whole)
        finally:
            del marked.is_loaded_in_4bit

    def merge(self) -> nn.Module:
        """The module in float32 without the adapter: 4-bit weights turned back, what was learnt added; everything is trained."""
        for name, layer in list(self.module.named_modules()):
            if hasattr(layer, "lora_A") and _is_quantised(layer.base_layer):
                replace_layer(self.module, name, _merged(layer))
        return take_out(self.module)


def _quantiser(kind: str, double: bool, compute: str) -> Any:
    """What makes a 4-bit layer of a linear one.

    Raises:
        ConfigError: bitsandbytes or a GPU is missing.
    """
    try:
        from bitsandbytes.nn import Linear4bit, Params4bit
    except ImportError as error:
        hint = 'pip install "rrgbench[qlora]"'
        raise ConfigError("adapter `qlora` needs bitsandbytes", got="not installed", hint=hint) from error
    if not torch.cuda.is_available():
        hint = "adapter lora does the same with weights in full"
        raise ConfigError("adapter `qlora` needs a GPU", got="none that torch can use", hint=hint)
    dtype: torch.dtype = getattr(torch, compute)

    class Quantised(Linear4bit):  # type: ignore[misc]
        """A 4-bit layer that loads what it saves: the library's own forgets its scales when a state dict is loaded."""

        def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
            scales = {key: state.pop(key) for key in list(state) if key.startswith(f"{prefix}weight.")}
            if scales:
                packed, place = state[f"{prefix}weight"], self.weight.device
                told = {key.removeprefix(f"{prefix}weight."): value for key, value in scales.items()}
                self.weight = Params4bit.from_prequantized(packed, told, device=place, module=self)
            super()._load_from_state_dict(state, prefix, *rest)

    def quantise(layer: nn.Module) -> nn.Module:
        weight: Any = layer.weight
        bias: Any = layer.bias
        weight = weight.detach().T if isinstance(layer, Conv1D) else weight.detach()
        outputs, inputs = weight.shape
        made = Quantised(
            inputs, outputs, bias is not None, compute_dtype=dtype, compress_statistics=double, quant_type=kind, device="meta"
        )
        made.weight = Params4bit(
            weight.contiguous().float(), requires_grad=False, compress_statistics=double, quant_type=kind, module=made
        )
        if bias is not None:
            # The layer casts its bias when it first works, which would change what is saved: it has its precision at once.
            made.bias = nn.Parameter(bias.detach().to(dtype), requires_grad=False)
        made.support_avx512bf16_for_cpu = False  # it would repack its weights when it first writes, in some shapes only
        made.weight._quantize(weight.device)
        return made

    return quantise


def _is_quantised(layer: nn.Module) -> bool:
    return hasattr(layer, "quant_state") and not getattr(layer, "weight", torch.empty(0)).is_floating_point()


def _merged(layer: Any) -> nn.Linear:
    """A layer of peft over 4-bit weights as a linear layer in float32."""
    from bitsandbytes.functional import dequantize_4bit

    base = layer.base_layer
    weight = dequantize_4bit(base.weight.data, base.weight.quant_state).float()
    for name in layer.active_adapters:
        weight = weight + layer.get_delta_weight(name).float()
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=base.bias is not None, device=weight.device)
    with torch.no_grad():
        made.weight.copy_(weight)
        if base.bias is not None:
            made.bias.copy_(base.bias.float())
    return made
