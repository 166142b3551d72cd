"""Several processes that train one rung together, and come to what one process comes to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, distributed, nn

from rrgbench.errors import ConfigError, RankLost
from rrgbench.training.process import reset_accelerate

_AT_ONCE = 1 << 25
"""Numbers of gradients that are summed in one message."""


def _at_once() -> None:
    """There is nobody to wait for."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that train a rung together.

    Attributes:
        size: how many they are.
        rank: which this one is; 0 writes.
        meeting: a file that is not there yet, of the same name for all, where they find each other.
        meet: returns when all are about to.
    """

    size: int = 1
    rank: int = 0
    meeting: Path | None = None
    meet: Callable[[], None] = _at_once

    def check(self, accumulate: int) -> None:
        """A step's batches are dealt out evenly.

        Raises:
            ConfigError: they cannot be.
        """
        if accumulate % self.size:
            raise ConfigError(
                f"{self.size} ranks share the batches of a step of the optimiser",
                got=f"{accumulate} of them",
                expected=f"a multiple of {self.size}",
                hint="set global_batch, or another number of ranks",
            )

    def share(self, batches: int) -> range:
        """The numbers of this rank's batches."""
        return range(self.rank, batches, self.size)

    @contextmanager
    def joined(self, device: str) -> Iterator[None]:
        """A process group for as long as this lasts: gloo on a CPU, NCCL on GPUs (each process sees its own alone). They talk
        over the loopback interface alone.

        Raises:
            RankLost: another one is gone.
        """
        if self.size == 1:
            yield
            return
        assert self.meeting is not None, "several ranks meet somewhere"
        self.meet()
        loopback = "lo0" if sys.platform == "darwin" else "lo"
        settings = {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": "0",
            "LOCAL_WORLD_SIZE": str(self.size),
            "MASTER_PORT": "0",  # accelerate asks for one, and it is not used
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
            "GLOO_SOCKET_IFNAME": loopback,
            "NCCL_SOCKET_IFNAME": loopback,
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            backend = "nccl" if torch.device(device).type == "cuda" else "gloo"
            store = distributed.FileStore(str(self.meeting), self.size)  # type: ignore[attr-defined]
            distributed.init_process_group(backend, store=store, rank=self.rank, world_size=self.size)
            yield
        except RuntimeError as error:
            if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
                raise
            raise RankLost(f"rank {self.rank} of {self.size} lost another one", got=error) from error
        finally:
            if distributed.is_initialized():
                distributed.destroy_process_group()
            reset_accelerate()
            _restore(before)


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def sum_gradients(accelerator: Accelerator, parameters: Sequence[nn.Parameter]) -> None:
    """Every rank's gradients become their sum over ranks. A parameter that no rank has one of is left without, as in one
    process."""
    open_ones = [parameter for parameter in parameters if parameter.requires_grad]
    if not open_ones:
        return
    has = torch.tensor([parameter.grad is not None for parameter in open_ones], dtype=torch.int32, device=open_ones[0].device)
    anywhere = accelerator.reduce(has, "sum").tolist()
    held = [parameter for parameter, count in zip(open_ones, anywhere, strict=True) if count]
    for chunk in _chunks(held):
        own = [parameter.grad if parameter.grad is not None else torch.zeros_like(parameter) for parameter in chunk]
        whole = accelerator.reduce(torch.cat([gradient.flatten() for gradient in own]), "sum")
        for parameter, part in zip(chunk, whole.split([gradient.numel() for gradient in own]), strict=True):
            parameter.grad = part.view_as(parameter).clone()


def _chunks(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Parameters of one type in a row, a limited number of numbers together."""
    chunk: list[nn.Parameter] = []
    for parameter in parameters:
        full = sum(other.numel() for other in chunk) + parameter.numel() > _AT_ONCE
        if chunk and (full or parameter.dtype != chunk[0].dtype):
            yield chunk
            chunk = []
        chunk.append(parameter)
    if chunk:
        yield chunk


def even_buffers(accelerator: Accelerator, model: nn.Module) -> None:
    """Running statistics become their mean over ranks, and counts the largest: a state that is read again is that of all.

    In double precision, in which the mean of equal numbers is that number."""
    for buffer in model.buffers():
        if buffer.numel() and buffer.is_floating_point():
            buffer.copy_(accelerator.reduce(buffer.double(), "mean"))
        elif buffer.numel() and buffer.dtype in (torch.int32, torch.int64):
            buffer.copy_(_largest(buffer))


def sum_told(accelerator: Accelerator, told: Mapping[str, float], device: torch.device) -> dict[str, float]:
    """What losses told, summed over ranks, under the names of this rank; one that had no batch adds nothing."""
    count = int(_largest(torch.tensor(len(told), device=device)))
    values: Tensor = torch.zeros(count, dtype=torch.float64, device=device)
    for place, name in enumerate(sorted(told)):
        values[place] = told[name]
    return dict(zip(sorted(told), accelerator.reduce(values, "sum").tolist(), strict=False)) if count else {}


def _largest(tensor: Tensor) -> Tensor:
    """The largest over ranks, in each place. Asked for it, accelerate before 1.14 gives the sum."""
    found = tensor.clone()
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return found
