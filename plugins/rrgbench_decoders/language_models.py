"""Language models of the transformers library: fresh, from a folder or from the hub; and their caches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rrgbench_pretrained import check_whole, named
from torch import Tensor, nn

from rrgbench import ConfigError, Tokenizer
from rrgbench_decoders.layers import KeysValues

_WHERE = "decoder `causal_lm`"


def held(past: tuple[KeysValues, ...]) -> Any:
    """A cache of transformers with these keys and values, which stay as they are: its layers grow by making new tensors."""
    from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

    if not past:
        return DynamicCache()
    layers = [DynamicLayer() for _ in past]
    for layer, (keys, values) in zip(layers, past, strict=True):
        layer.keys, layer.values, layer.is_initialized = keys, values, True
        layer.dtype, layer.device = keys.dtype, keys.device
    return Cache(layers=layers)


def small(tokenizer: Tokenizer, layers: int, width: int, heads: int, dropout: float, positions: int) -> nn.Module:
    """A GPT-2 (Radford et al. 2019) with fresh weights."""
    # Imported here: it takes seconds, and the other decoders do without.
    from transformers import GPT2Config, GPT2LMHeadModel

    if width % heads:
        raise ConfigError(f"{_WHERE}: `heads` does not divide the width", got=f"{heads} heads for a width of {width}")
    config = GPT2Config(
        vocab_size=tokenizer.vocab_size,
        n_positions=positions,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    made: nn.Module = GPT2LMHeadModel(config)
    return made


def pretrained(tokenizer: Tokenizer, model_name: str | None, checkpoint: Path | None) -> nn.Module:
    """A causal model by its name on the hub or its folder, float32, with an embedding for every id of the tokenizer.

    Raises:
        ConfigError: both are given, it cannot be loaded, its weights are not the whole model, or it is no causal model with a
            cache of keys and values.
    """
    import safetensors
    from transformers import AutoModelForCausalLM

    option, name, options = named(_WHERE, model_name, checkpoint)
    try:
        made: Any
        made, told = AutoModelForCausalLM.from_pretrained(name, use_safetensors=True, output_loading_info=True, **options)
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, safetensors.SafetensorError) as error:
        raise ConfigError(
            f"{_WHERE}: option `{option}` cannot be loaded",
            got=f"{name} ({type(error).__name__}: {error})",
            expected="a folder with config.json and model.safetensors of a causal model, or a name on the hub in reach",
        ) from error
    check_whole(_WHERE, option, name, made, told["missing_keys"])
    made.float().eval()
    if not _is_causal(made):
        expected = "a causal model with a cache of keys and values, as GPT-2, OPT, GPT-NeoX or Llama"
        raise ConfigError(f"{_WHERE}: option `{option}`", got=f"{name}, a {type(made).__name__}", expected=expected)
    if tokenizer.vocab_size > made.get_input_embeddings().num_embeddings:
        made.resize_token_embeddings(tokenizer.vocab_size, mean_resizing=False)
    found: nn.Module = made
    return found


def window_of(config: Any) -> int | None:
    """How many places the narrowest layer of a model reads; None where all read everything before."""
    if "local" in getattr(config, "attention_layers", ()):  # GPT-Neo
        return int(config.window_size)
    window = getattr(config, "sliding_window", None)
    return None if window is None else int(window)


@torch.no_grad()
def _is_causal(lm: Any) -> bool:
    """Whether a word leaves the logits before it as they are, and a cache has keys and values."""
    one, other = (lm(input_ids=torch.tensor([[0, word]]), use_cache=True) for word in (0, 1))
    layers = getattr(one.past_key_values, "layers", ())
    kept = bool(layers) and all(isinstance(getattr(layer, "keys", None), Tensor) for layer in layers)
    return kept and torch.allclose(one.logits[:, 0], other.logits[:, 0], atol=1e-4)
