"""The state of a training on disk: weights and optimiser as safetensors, the rest as JSON; the same state, the same bytes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rrgbench.errors import PluginError, StoreError
from rrgbench.identity import canonical_json

WEIGHTS, OPTIMIZER, STATE, CLOCK = "model.safetensors", "optimizer.safetensors", "state.json", "clock.json"
NEWEST = "newest.safetensors"
"""The weights to go on from, where those that are kept are of an earlier epoch."""


@dataclass(frozen=True)
class Best:
    """The best epoch so far, counted from 0, and its loss."""

    epoch: int
    loss: float


@dataclass(frozen=True)
class Progress:
    """How far a training is: epochs and optimisation steps done, each epoch's scores, the scaler of fp16; and where it may end
    early, its best epoch, and whether it ended."""

    epoch: int = 0
    step: int = 0
    history: tuple[Mapping[str, float], ...] = ()
    scaler: Mapping[str, float] | None = None
    best: Best | None = None
    stopped: bool = False

    @property
    def newest_is_best(self) -> bool:
        """Whether the weights of the newest epoch are those to keep."""
        return self.best is None or self.best.epoch == self.epoch - 1


def save_model(model: nn.Module, path: Path, instead: Mapping[str, Tensor] | None = None) -> None:
    """Write parameters and buffers as safetensors; tied ones once, under the first of their names in alphabetical order.

    ``instead``: tensors that take the place of the model's own, by name.

    Raises:
        PluginError: the module keeps state that is not a tensor.
    """
    kept, tied = _distinct(model)
    kept |= {name: tensor for name, tensor in (instead or {}).items() if name in kept}
    # One key: safetensors writes several in the random order of a hash map.
    _save(kept, path, {"rrgbench": canonical_json({"tied": tied})})


def load_model(model: nn.Module, path: Path) -> None:
    """Read weights that ``save_model`` wrote into a model of the same make.

    Raises:
        StoreError: the file is missing or damaged, or its tensors are not those of the model.
    """
    found = _load(path)
    expected, _ = _distinct(model)
    for what, names in (("lacks", expected.keys() - found.keys()), ("has also", found.keys() - expected.keys())):
        if names:
            raise StoreError(
                f"{path} is not of this model: it {what} {len(names)} tensors", got=", ".join(sorted(names)[:3]), hint=_OTHER
            )
    _put(model, found, expected, path)


def load_parts(model: nn.Module, paths: Sequence[Path]) -> frozenset[str]:
    """Read what a model has in common with several files: each of its parts from the last one that holds it.

    Returns:
        The names of the tensors of parts that none of them holds: they stay as they are.

    Raises:
        StoreError: a file is missing or damaged, or holds a part with other tensors than the model's.
    """
    expected, _ = _distinct(model)
    newest = {_part(name): path for path in paths for name in _names(path)}
    for path in dict.fromkeys(newest.values()):
        wanted = {name: tensor for name, tensor in expected.items() if newest.get(_part(name)) == path}
        found = _load(path)
        if lost := wanted.keys() - found.keys():
            raise StoreError(
                f"{path} holds {_part(min(lost))} with other names of its tensors", got=f"{min(lost)} is missing", hint=_OTHER
            )
        _put(model, {name: found[name] for name in wanted}, wanted, path)
    return frozenset(name for name in expected if _part(name) not in newest)


def _part(name: str) -> str:
    """The part of a model that a tensor belongs to: an encoder, a head, the fusion, the decoder."""
    first, _, rest = name.partition(".")
    return f"{first}.{rest.partition('.')[0]}" if first in ("encoders", "heads") else first


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} cannot be read", got=f"{type(error).__name__}: {error}") from error


def _put(model: nn.Module, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in expected.items():
        if (found[name].shape, found[name].dtype) != (tensor.shape, tensor.dtype):
            got, wanted = (f"{t.dtype} {tuple(t.shape)}" for t in (found[name], tensor))
            raise StoreError(f"{path} is not of this model: {name}", got=got, expected=wanted, hint=_OTHER)
    model.load_state_dict(found, strict=False)


_OTHER = "it was written by a model with other options"


def _distinct(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor of the state once, and the other names of tied ones -> the name that is kept."""
    kept: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    for name, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, Tensor):
            raise PluginError(f"the state of the model: {name}", got=type(tensor).__name__, expected="a tensor")
        place = (tensor.device, tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride())
        if tensor.numel() and place in first:
            tied[name] = first[place]
        else:
            first[place] = name
            kept[name] = tensor
    return kept, tied


def save_state(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    best: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the files of a state into a folder that exists, through to the disk.

    ``best``: what the weights of the best epoch have other than the model's, where that is an earlier one: they are what is
    kept, and the model's own lie beside them, to go on from.
    """
    save_model(model, folder / WEIGHTS, None if progress.newest_is_best else best)
    if not progress.newest_is_best:
        save_model(model, folder / NEWEST)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    moments = {
        f"{key}/{names[id(parameter)]}": value for parameter, entry in optimizer.state.items() for key, value in entry.items()
    }
    _save(moments, folder / OPTIMIZER, {})
    content = {
        "version": 1,
        "epoch": progress.epoch,
        "step": progress.step,
        "history": list(progress.history),
        "scaler": progress.scaler,
    }
    if progress.best is not None:
        content |= {"best": {"epoch": progress.best.epoch, "loss": progress.best.loss}, "stopped": progress.stopped}
    _write(folder / STATE, canonical_json(content))


def load_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Read what ``save_state`` wrote into a model and its optimiser.

    Raises:
        StoreError: a file is missing or damaged, or belongs to another model or set of trained modules.
    """
    progress = load_progress(folder)
    load_model(model, folder / (WEIGHTS if progress.newest_is_best else NEWEST))
    found = _load(folder / OPTIMIZER)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = optimizer.state_dict()["param_groups"]
    state: dict[int, dict[str, Tensor]] = {}
    places = {
        names[id(parameter)]: place
        for group, saved in zip(optimizer.param_groups, groups, strict=True)
        for parameter, place in zip(group["params"], saved["params"], strict=True)
    }
    for key, tensor in found.items():
        moment, _, name = key.partition("/")
        if name not in places:
            raise StoreError(
                f"{folder / OPTIMIZER} is of a training of other modules", got=name, hint="a stage keeps its `train` list"
            )
        state.setdefault(places[name], {})[moment] = tensor.clone()
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return progress


def load_progress(folder: Path) -> Progress:
    """How far the training is whose state lies in a folder.

    Raises:
        StoreError: it is missing or damaged.
    """
    try:
        content = json.loads((folder / STATE).read_text(encoding="utf-8"))
        best = Best(**content["best"]) if "best" in content else None
        stopped = bool(content.get("stopped", False))
        return Progress(content["epoch"], content["step"], tuple(content["history"]), content["scaler"], best, stopped)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoreError(f"{folder / STATE} cannot be read", got=f"{type(error).__name__}: {error}") from error


def snapshot(model: nn.Module, changing: Iterable[nn.Parameter]) -> dict[str, Tensor]:
    """A copy on the CPU of what a training changes in a model: the parameters ``changing``, and buffers. Names as saved."""
    ours = {id(parameter) for parameter in changing}
    fixed = {parameter.data_ptr() for parameter in model.parameters() if id(parameter) not in ours}
    kept, _ = _distinct(model)
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in kept.items() if tensor.data_ptr() not in fixed}


def load_best(folder: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """The weights of the best epoch, those of ``names``, from a state that keeps an earlier one.

    Raises:
        StoreError: the file is missing or damaged.
    """
    found = _load(folder / WEIGHTS)
    return {name: found[name] for name in names if name in found}


def _save(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    # Cloned only where a tensor is part of a larger storage, which safetensors refuses.
    whole = {
        name: tensor.detach().cpu().contiguous()
        if tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        else tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    try:
        save_file(whole, path, metadata)
    except SafetensorError as error:
        raise StoreError(f"{path} cannot be written", got=error, hint="is the disk full?") from error
    _sync(path)


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} cannot be read", got=f"{type(error).__name__}: {error}") from error


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Scratch:
    """States at the ends of epochs inside a rung: a folder each, visible only when whole. Only the newest is kept.

    The clock (seconds of each epoch) lies beside the state and not in it: it is no part of what must be equal.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def _complete(self) -> list[Path]:
        return sorted(self._folder.glob("epoch-*"), reverse=True)

    def save(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        progress: Progress,
        clock: Mapping[str, float],
        best: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Keep this state instead of the one before."""
        final = self._folder / f"epoch-{progress.epoch:06d}"
        before = self._complete()
        partial = self._folder / f"partial-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        save_state(partial, model, optimizer, progress, best)
        _write(partial / CLOCK, canonical_json(clock))
        _sync(partial)
        partial.replace(final)
        _sync(self._folder)
        for old in before:
            self._remove(old)

    def load(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, tidy: bool = True
    ) -> tuple[Path, Progress, dict[str, float]] | None:
        """Read the newest state into model and optimiser: its folder, it and its clock, or None. What was half-written is
        removed, where ``tidy``."""
        for partial in self._folder.glob("partial-*") if tidy else ():
            shutil.rmtree(partial)
        for folder in self._complete():
            progress = load_state(folder, model, optimizer)
            clock = json.loads((folder / CLOCK).read_text(encoding="utf-8"))
            return folder, progress, {str(epoch): float(seconds) for epoch, seconds in clock.items()}
        return None

    def _remove(self, folder: Path) -> None:
        # Renamed first: a removal that is cut short must not leave a state that looks whole.
        partial = self._folder / f"partial-{folder.name}"
        folder.replace(partial)
        shutil.rmtree(partial)
