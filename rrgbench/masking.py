"""Words masked at random, for a text encoder to guess (BERT, Devlin et al., 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from rrgbench.errors import ConfigError
from rrgbench.interfaces import Tokenizer

_SHARE, _MASKED, _RANDOM = 0.15, 0.8, 0.1


def mask_words(ids: Tensor, mask: Tensor, tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """Choose 15 % of the real words: 80 % of them become the mask, 10 % any word, 10 % stay.

    Draws from torch's generator on the CPU, so that a device does not change them.

    Args:
        ids: (B, S) int64.
        mask: (B, S) bool, True = real.
        tokenizer: with a ``mask_token_id``, else its ``unk_token_id`` stands for the mask.

    Returns:
        ids (B, S) with words masked, and which were chosen, (B, S) bool.

    Raises:
        ConfigError: the tokenizer has neither.
    """
    token = getattr(tokenizer, "mask_token_id", None)
    token = getattr(tokenizer, "unk_token_id", None) if token is None else token
    if token is None:
        raise ConfigError(
            f"words are masked, and tokenizer {type(tokenizer).__name__} has no token for it",
            expected="mask_token_id, or unk_token_id",
        )
    special = torch.tensor(sorted({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}), device=ids.device)
    words = mask & ~torch.isin(ids, special)
    draw, fate = (part.to(ids.device) for part in torch.rand(2, *ids.shape))
    other = torch.randint(tokenizer.vocab_size, ids.shape).to(ids.device)
    chosen = words & (draw < _SHARE)
    masked = torch.where(chosen & (fate < _MASKED), token, ids)
    return torch.where(chosen & (fate >= 1 - _RANDOM), other, masked), chosen
