"""Which layers of a module an adapter changes, and how they are taken out and put back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase

from torch import nn
from transformers.pytorch_utils import Conv1D

from rrgbench import ConfigError

Names = dict[str, nn.Module]
"""The name of a layer inside of the module -> the layer."""

LINEAR = (nn.Linear, Conv1D)


def named(name: str, patterns: Collection[str]) -> bool:
    """Whether a pattern is the whole name or the end of it, at a dot: ``fc2`` and ``mlp.fc2`` name ``blocks.0.mlp.fc2``."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}") for pattern in patterns)


def adaptable(module: nn.Module) -> Names:
    """Linear layers and ungrouped convolutions whose weight is theirs alone: not the output layer that is tied to an embedding,
    and not what ``nn.MultiheadAttention`` reads past the layer."""
    uses = Counter(id(one) for layer in module.modules() for one in layer.parameters(recurse=False))
    hidden = {id(one.out_proj) for one in module.modules() if isinstance(one, nn.MultiheadAttention)}
    return {
        name: layer
        for name, layer in module.named_modules()
        if (isinstance(layer, LINEAR) or (isinstance(layer, nn.Conv2d) and layer.groups == 1))
        and id(layer) not in hidden
        and all(uses[id(one)] == 1 for one in layer.parameters(recurse=False))
    }


def chosen(
    adapter: str,
    module: nn.Module,
    targets: Sequence[str] | None,
    kinds: tuple[type, ...] | None = None,
    whole: Sequence[str] = (),
) -> Names:
    """The layers that ``targets`` name; without, every linear layer, and every convolution where there is no linear one, but
    those that are trained ``whole``.

    Raises:
        ConfigError: a target names no layer, or there is none to adapt.
    """
    found = {name: layer for name, layer in adaptable(module).items() if kinds is None or isinstance(layer, kinds)}
    told = f"adapter `{adapter}` of {type(module).__name__}"
    if targets is not None:
        for pattern in targets:
            if not any(named(name, [pattern]) for name in found):
                some = ", ".join(sorted({name.rpartition(".")[2] for name in found})[:12]) or "none"
                raise ConfigError(f"{told}: a target names no layer", got=pattern, expected=f"the end of a name: {some}")
        return {name: layer for name, layer in found.items() if named(name, targets)}
    found = {name: layer for name, layer in found.items() if not any(named(part, whole) for part in _ends(name))}
    linear = {name: layer for name, layer in found.items() if isinstance(layer, LINEAR)}
    if not (linear or found):
        raise ConfigError(f"{told}: there is no layer to adapt", expected="linear layers or convolutions", hint="adapter: frozen")
    return linear or found


def last_of_blocks(layers: Names, module: nn.Module) -> Names:
    """Of some layers the last in each block of a stack of blocks (the end of its feed-forward); all where nothing is stacked."""
    stacks = [
        (name, stack)
        for name, stack in module.named_modules()
        if isinstance(stack, (nn.ModuleList, nn.Sequential)) and len(stack) > 1 and len({type(block) for block in stack}) == 1
    ]
    last: Names = {}
    for name, stack in stacks:
        for place, _ in stack.named_children():
            inside = [each for each in layers if each.startswith(f"{name}.{place}." if name else f"{place}.")]
            if inside:
                last[inside[-1]] = layers[inside[-1]]
    # A stack of stacks: only what is last in the innermost block and in the outer one is adapted once.
    return last or layers


def replace_layer(module: nn.Module, name: str, layer: nn.Module) -> None:
    """Put another layer where ``name`` stands."""
    parent, _, own = name.rpartition(".")
    setattr(module.get_submodule(parent), own, layer)


def open_whole(adapter: str, module: nn.Module, whole: Sequence[str]) -> None:
    """Train what ``whole`` names with all of its parameters, though the rest is frozen.

    Raises:
        ConfigError: it names nothing.
    """
    parameters = dict(module.named_parameters())
    for pattern in whole:
        ours = [one for name, one in parameters.items() if any(named(part, [pattern]) for part in _ends(name))]
        if not ours:
            tops = ", ".join(name for name, _ in module.named_children())
            raise ConfigError(
                f"adapter `{adapter}` of {type(module).__name__}: `whole` names nothing", got=pattern, expected=f"a part: {tops}"
            )
        for one in ours:
            one.requires_grad_(True)


def _ends(name: str) -> Iterator[str]:
    """A name and the names of everything that it is inside of."""
    while name:
        yield name
        name = name.rpartition(".")[0]
