"""What the contracts share: making components, comparing tensors, and sentences in place of tracebacks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor, nn

from rrgbench.testing.toys import generator

Check = Callable[[], None]
"""One check of one component. Raises AssertionError with a sentence."""

TOLERANCE = 1e-4
"""How far two results that should be equal may lie apart, absolutely and relatively: float32 summed in another order."""


def component_name(component: Any) -> str:
    """What a sentence calls a component."""
    return str(getattr(component, "__name__", component))


@contextmanager
def saying(doing: str) -> Iterator[None]:
    """Whatever a component raises becomes one sentence: what it was doing, and what it raised."""
    try:
        yield
    except AssertionError as error:
        # The component's own assert, where no sentence of ours is inside: all of ours are raised outside of this block.
        raise AssertionError(f"{doing} failed: {error or 'an assert without a message'}") from error
    except Exception as error:
        raise AssertionError(f"{doing} raised {type(error).__name__}: {error}") from error


def built(component: Any, values: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The component from the platform values that its signature asks for, and the options. Draws from a fixed seed."""
    with saying(f"reading the signature of {component_name(component)}"):
        parameters = inspect.signature(component).parameters.values()
    wanted = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    missing = [p.name for p in wanted if p.name not in values and p.default is p.empty]
    assert not missing, f"{component_name(component)} asks for {missing}; its kind may ask for {sorted(values)}"
    given = [values[p.name] for p in wanted if p.name in values]
    with torch.random.fork_rng(devices=[]), saying(f"making {component_name(component)}"):
        torch.manual_seed(0)
        return component(*given, **options)


def module_of(component: Any, made: Any) -> nn.Module:
    """The component as a module."""
    assert isinstance(made, nn.Module), f"{component_name(component)} is not a torch.nn.Module: it cannot be trained or saved"
    return made


def awake(module: nn.Module) -> nn.Module:
    """The module with a little noise on its parameters: a gate that starts at zero is honest, one that stays there is not."""
    random = generator(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad and parameter.is_floating_point():
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=random))
    return module


def close(first: Tensor, second: Tensor) -> bool:
    """Whether two results are the same but for rounding."""
    return first.shape == second.shape and torch.allclose(first.float(), second.float(), TOLERANCE, TOLERANCE)


def assert_close(first: Tensor, second: Tensor, sentence: str) -> None:
    """Two results are the same but for rounding, or the sentence is raised with how far they lie apart."""
    assert first.shape == second.shape, f"{sentence}: shapes {tuple(first.shape)} and {tuple(second.shape)}"
    if not close(first, second):
        apart = (first.float() - second.float()).abs().max().item()
        raise AssertionError(f"{sentence}: they differ by up to {apart:.3g}")


def assert_finite(tensor: Tensor, sentence: str) -> None:
    """No NaN and no infinity."""
    assert bool(torch.isfinite(tensor.detach().float()).all()), f"{sentence} holds NaN or infinity"


def assert_learns(module: nn.Module, result: Callable[[], Tensor], names: str) -> None:
    """Every trained parameter has a gradient that is not zero, for a random weighting of the result."""
    parameters = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if not parameters:
        return
    awake(module)
    output = result()
    weights = torch.randn(output.shape, generator=generator(2))
    with saying(f"the backward pass of {names}"):
        found = torch.autograd.grad((output.float() * weights).sum(), list(parameters.values()), allow_unused=True)
    dead = [name for name, gradient in zip(parameters, found) if gradient is None or not bool(gradient.ne(0).any())]
    assert not dead, f"{names}: dead parameters, which no gradient reaches: {', '.join(dead)}"


def assert_deterministic(module: nn.Module, result: Callable[[], Tensor], names: str) -> None:
    """In evaluation mode the same comes out twice, and under another seed."""
    module.eval()
    results = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for seed in (1, 2):
            torch.manual_seed(seed)
            results.append(result())
    assert bool(torch.equal(*results)), f"{names} is not deterministic in evaluation mode: dropout, or random numbers, or a state"


def reloaded(module: nn.Module, again: nn.Module, names: str) -> None:
    """The state of one module, through safetensors, in another that was made under another seed."""
    state = {name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()}
    with saying(f"saving {names} as safetensors"):
        held = safetensors.torch.load(safetensors.torch.save(state))
    with saying(f"loading {names} from its own state dict"):
        again.load_state_dict(held, strict=True)


def assert_survives_saving(module: nn.Module, again: nn.Module, result: Callable[[Any], Tensor], names: str) -> None:
    """A state dict through safetensors gives the same result in a module whose weights were others."""
    awake(module).eval()
    reloaded(module, again.eval(), names)
    with torch.no_grad():
        first, second = result(module), result(again)
    assert_close(first, second, f"{names} does not survive a state dict: something that counts is neither parameter nor buffer")


def assert_bfloat16(result: Callable[[], Tensor], shape: Sequence[int], names: str) -> None:
    """Under bfloat16 autocast the shape is the same and every number finite."""
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16), saying(f"{names} under bfloat16 autocast"):
        output = result()
    assert tuple(output.shape) == tuple(shape), f"{names} under bfloat16 autocast gives the shape {tuple(output.shape)}"
    assert output.is_floating_point(), f"{names} under bfloat16 autocast gives {output.dtype}"
    assert_finite(output, f"what {names} gives under bfloat16 autocast")


def assert_fields(component: Any, fields: Mapping[str, type]) -> None:
    """Attributes that the platform reads exist and have their types."""
    for name, kind in fields.items():
        assert hasattr(component, name), f"{component_name(type(component))} lacks `{name}`"
        value = cast(object, getattr(component, name))
        assert isinstance(value, kind), f"{component_name(type(component))}.{name} is {value!r}, not {kind.__name__}"
