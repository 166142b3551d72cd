"""A warm process made like a fresh one, and what its numbers depend on."""

from __future__ import annotations

import os
import random

import numpy as np
import torch
from accelerate.state import AcceleratorState, GradientState


def seed_everything(seed: int) -> None:
    """Seed torch (all devices), numpy's and Python's global generators."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def reset_process(seed: int, threads: int) -> None:
    """Undo what a step before may have left behind in this process: called before every step.

    Threads, deterministic algorithms (an operation without one raises RuntimeError), default type and gradient mode,
    accelerate's shared state, and all seeds.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Filling every new tensor costs a pass over it. The module is an object of properties that its stubs do not show.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("highest")
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    reset_accelerate()
    seed_everything(seed)


def reset_accelerate() -> None:
    """Forget accelerate's process-wide state, which would refuse another precision or device. It offers no public way."""
    AcceleratorState._reset_state(True)
    GradientState._reset_state()


def numerics_domain(device: str, ranks: int = 1) -> dict[str, str | int]:
    """Within which the same inputs give the same bytes: ``device``, ``hardware``, ``threads``, ``world_size``, ``torch``."""
    kind = torch.device(device).type
    return {
        "device": kind,
        "hardware": torch.cuda.get_device_name(device) if kind == "cuda" else torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "world_size": ranks,
        "torch": str(torch.__version__),
    }
