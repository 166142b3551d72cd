"""A safetensors file into the backbone of a timm model, in whichever names the common code bases write it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from rrgbench import ConfigError

State = Mapping[str, Tensor]

_DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
"""DenseNets of before 2018 (torchvision, and CheXNet's heirs) write ``norm.1`` for ``norm1``."""

_DERIVED = ("num_batches_tracked", "relative_position_index", "relative_coords_table", "attn_mask", "rope.freqs", "position_ids")
"""Ends of names of tensors that nothing learns: old files lack some of them, and others hold what models work out themselves."""

_SECOND = re.compile(r"encoder_k|momentum|student")
"""Where a file holds two copies of a network, these words mark the one that its authors do not hand on (MoCo, DINO)."""


def load_backbone(model: Any, path: Path, channels: int) -> None:
    """Read the weights of every part that ``model`` still has; what belongs to a classifier is left in the file.

    Names may stand under any prefix (``module.``, ``backbone.``, ``module.encoder_q.``), or lack the model's first one
    (``features.``); tables of positions and windows of another size are interpolated as timm does. A first convolution over 3
    channels is summed for 1, and one over 1 is shared out over 3, so that a grey film in colour gives the same.

    Args:
        model: made by timm, its classifier taken out.
        path: a safetensors file.
        channels: of the films, 1 or 3.

    Raises:
        ConfigError: the file cannot be read, lacks a tensor of the backbone, or holds more of it than this model has.
    """
    try:
        held = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise ConfigError(
            f"image encoder `timm`: checkpoint {path} cannot be read",
            got=f"{type(error).__name__}: {error}",
            expected="a safetensors file",
            hint="weights in another format (.pth, .bin) are converted once: docs/encoders.md says how",
        ) from error
    wanted: dict[str, Tensor] = model.state_dict()
    needed = {name for name in wanted if not name.endswith(_DERIVED)}
    state: State = {}
    for found in map(_last_norm, _readings(held, model, needed)):
        fitted = {name: _in_channels(tensor, wanted[name]) if name in wanted else tensor for name, tensor in found.items()}
        if len(_matched(fitted, wanted, needed)) > len(_matched(state, wanted, needed)) or not state:
            state = fitted
    matched = _matched(state, wanted, needed)
    missing = sorted(needed - matched)
    parts = {name.split(".")[0] for name in needed}
    surplus = sorted(name for name in state if name.split(".")[0] in parts and name not in wanted and not name.endswith(_DERIVED))
    if missing or surplus:
        raise ConfigError(
            f"image encoder `timm`: checkpoint {path} is not of this model",
            got=f"{len(matched)} of {len(needed)} tensors of the backbone"
            + (f", without {_some(missing, wanted, state)}" if missing else "")
            + (f"; {len(surplus)} more that the model lacks, such as {', '.join(surplus[:2])}" if surplus else ""),
            expected=f"the weights of {model.pretrained_cfg.get('architecture') or type(model).__name__}",
            hint="name the model that the file was trained as, and the option `size`" if matched else _names(held, needed),
        )
    kept = {name: tensor for name, tensor in state.items() if name in wanted and tensor.shape == wanted[name].shape}
    model.load_state_dict(kept, strict=False)  # strict above, but for what nothing learns


def _readings(held: State, model: Any, needed: set[str]) -> Iterator[State]:
    """The ways in which the file's names can be read as the model's, the likeliest first."""
    renamed = {_DENSE.sub(r"\1\2.", name): tensor for name, tensor in held.items()}
    prefixes = {""} | {name[: place + 1] for name in renamed for place in range(len(name)) if name[place] == "."}
    # Not one tensor of the model, but a good half of it, stands below the prefix that it was saved under.
    inner = {prefix: {k.removeprefix(prefix): v for k, v in renamed.items() if k.startswith(prefix)} for prefix in prefixes}
    likely = [prefix for prefix in prefixes if 2 * len(inner[prefix]) >= len(needed)]
    for prefix in sorted(likely, key=lambda prefix: (bool(_SECOND.search(prefix)), len(prefix), prefix)):
        yield inner[prefix]
        yield _by_timm(inner[prefix], model, needed)
        for part in sorted({name.split(".")[0] for name in needed}):
            yield {f"{part}.{name}": tensor for name, tensor in inner[prefix].items()}


def _by_timm(state: State, model: Any, needed: set[str]) -> State:
    """As the module of timm that the model comes from reads foreign files: it renames, and it interpolates tables.

    What it renames although the model has it under its own name (a last norm, for fine-tuning) is kept as it was.
    """
    read = getattr(importlib.import_module(type(model).__module__), "checkpoint_filter_fn", None)
    if read is None:
        return {}
    try:
        found: dict[str, Tensor] = read(dict(state), model)
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError, RuntimeError):
        return {}  # it expects files of its own model, and says in many ways that this is none
    return {**{name: state[name] for name in needed if name in state and name not in found}, **found}


def _last_norm(state: State) -> State:
    """The norm that a classifier reads the mean token through is that of the tokens, where the file has no other."""
    if any(name.startswith("norm.") for name in state):
        return state
    return {re.sub(r"^fc_norm\.", "norm.", name): tensor for name, tensor in state.items()}


def _in_channels(tensor: Tensor, wanted: Tensor) -> Tensor:
    """The weight of a first convolution for films of the other number of channels; any other tensor as it is."""
    alike = tensor.ndim == wanted.ndim == 4 and tensor.shape[::2] == wanted.shape[::2] and tensor.shape[3] == wanted.shape[3]
    if alike and (tensor.shape[1], wanted.shape[1]) == (3, 1):
        return tensor.sum(dim=1, keepdim=True)
    if alike and (tensor.shape[1], wanted.shape[1]) == (1, 3):
        return tensor.repeat(1, 3, 1, 1) / 3
    return tensor


def _matched(state: State, wanted: State, needed: set[str]) -> set[str]:
    return {name for name in needed & state.keys() if state[name].shape == wanted[name].shape}


def _some(missing: list[str], wanted: State, state: State) -> str:
    """A few names, with both shapes where only these differ."""
    told = []
    for name in missing[:2]:
        shapes = f" {tuple(state[name].shape)} for {tuple(wanted[name].shape)}" if name in state else ""
        told.append(name + shapes)
    return ", ".join(told) + (f" and {len(missing) - 2} more" if missing[2:] else "")


def _names(held: State, needed: set[str]) -> str:
    return f"it holds names such as {', '.join(sorted(held)[:2]) or 'none'}, the model has {', '.join(sorted(needed)[:2])}"
