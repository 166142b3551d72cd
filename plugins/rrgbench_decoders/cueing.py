"""How decoders are cued: what they keep of a cue in their cache, and what words read then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rrgbench import Cue, Cues, Features


def cue_of(cues: Cues | None, memory: Features) -> Cue | None:
    """What is told of the studies of a memory; None where nothing is."""
    return None if cues is None or memory.active_nodes is None else cues(memory.active_nodes)


def kept(cue: Cue | None) -> dict[str, Tensor]:
    """What a cache keeps of a cue: which words of the prompt are real (B, P), and the bias (B, vocabulary), if any."""
    if cue is None:
        return {}
    prompt = {"prompt": cue.prompt_mask} if cue.prompt_mask.shape[1] else {}
    return prompt | ({"bias": cue.logit_bias} if cue.logit_bias is not None else {})


def biased(logits: Tensor, cache: Mapping[str, Any]) -> Tensor:
    """Logits (B, T, vocabulary) with the bias of the cue."""
    return logits + cache["bias"][:, None] if "bias" in cache else logits


def real_places(cache: Mapping[str, Any], words: int) -> Tensor | None:
    """Which places are real once ``words`` of the report stand behind the prompt, (B, P + words) bool; None where there is no
    prompt, and all are."""
    if "prompt" not in cache:
        return None
    prompt: Tensor = cache["prompt"]
    return torch.cat([prompt, prompt.new_ones(len(prompt), words)], dim=1)


def seen(real: Tensor, asked: int) -> Tensor:
    """What the last ``asked`` of the places (B, N) read: real places up to their own, and their own, (B, asked, N) bool."""
    places = real.shape[1]
    before = real.new_ones(asked, places).tril(places - asked)
    return (before & real[:, None]) | (before.triu(places - asked))
