"""Reports drawn from a decoder while it is trained, and how likely each of their words was."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rrgbench.interfaces import Decoder
from rrgbench.types import Features, Samples, Sampling


def sample(decoder: Decoder, memory: Features, sampling: Sampling) -> Samples:
    """Draw a report for each study, write its greedy one beside it, and say how likely each drawn word was.

    Words are drawn without a gradient, one step after the other; their log-probabilities come from one forward pass over what
    was drawn, in which the gradient flows. Both are of the same distribution: that of the decoder at ``temperature``, without
    beginning and padding.

    Args:
        decoder: in evaluation mode, so that what is drawn and what is made likelier are the same policy.
        memory: (B, M, hidden_size).
        sampling: how.
    """
    with torch.no_grad():
        ids, mask = _written(decoder, memory, sampling, greedy=False)
        greedy_ids, _ = _written(decoder, memory, sampling, greedy=True)
    logits = decoder(memory, ids, mask)[:, :-1]
    chances = _allowed(logits.float(), sampling).log_softmax(dim=-1)
    log_probs = chances.gather(2, ids[:, 1:, None]).squeeze(2).masked_fill(~mask[:, 1:], 0.0)
    return Samples(ids=ids, mask=mask, log_probs=log_probs, greedy_ids=greedy_ids)


def _allowed(logits: Tensor, sampling: Sampling) -> Tensor:
    """Logits (..., vocabulary) at the temperature, without what is never written."""
    logits = logits[..., : sampling.vocab_size] / sampling.temperature
    never = sorted({sampling.bos_token_id, sampling.pad_token_id} - {sampling.eos_token_id})
    return logits.index_fill(-1, torch.tensor(never, device=logits.device), -math.inf) if never else logits


def _written(decoder: Decoder, memory: Features, sampling: Sampling, *, greedy: bool) -> tuple[Tensor, Tensor]:
    """ids (B, T), ``bos w1 .. eos pad ..``, and their mask. What stands after an end is padding; a report that finds no end in
    time has none."""
    device = memory.hidden_states.device
    count = len(memory.mask)
    words = [torch.full((count, 1), sampling.bos_token_id, device=device)]
    real = [torch.ones(count, 1, dtype=torch.bool, device=device)]
    going = torch.ones(count, dtype=torch.bool, device=device)
    cache: Any = None
    for _ in range(sampling.max_new_tokens):
        logits, cache = decoder.step(words[-1], memory, cache)
        chances = _allowed(logits.float(), sampling)
        # Drawn on the CPU, so that a device does not change the numbers.
        chosen = chances.argmax(dim=1) if greedy else torch.multinomial(chances.softmax(dim=1).cpu(), 1)[:, 0].to(device)
        words.append(chosen.masked_fill(~going, sampling.pad_token_id)[:, None])
        real.append(going[:, None])
        going = going & (chosen != sampling.eos_token_id)
        if not bool(going.any()):
            break
    return torch.cat(words, dim=1), torch.cat(real, dim=1)
