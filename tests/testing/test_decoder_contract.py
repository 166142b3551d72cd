"""Each mistake in a decoder is caught by the check that is for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from rrgbench import Features
from rrgbench.nn import Attention
from rrgbench.testing import ToyTokenizer, failures

torch.set_num_threads(1)

Failing = Callable[..., str]


class RightDecoder(nn.Module):
    """A right decoder of one layer: the mistakes below are made in it, one at a time."""

    own_tokenizer: ClassVar[Mapping[str, Any]] = {"name": "word"}

    def __init__(self, tokenizer: ToyTokenizer) -> None:
        super().__init__()
        self.hidden_size = 16
        self.words = nn.Embedding(tokenizer.vocab_size, 16)
        self.reading, self.asking = Attention(16, 2), Attention(16, 2)
        self.out = nn.Linear(16, tokenizer.vocab_size)

    def forward(self, memory: Features, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.words(input_ids)
        hidden = hidden + self.looked(hidden)
        return self.out(hidden + self.asked(hidden, memory))

    def looked(self, hidden: Tensor) -> Tensor:
        return self.reading.attend(hidden, *self.reading.keys_values(hidden), causal=True)

    def asked(self, hidden: Tensor, memory: Features) -> Tensor:
        return self.asking(hidden, memory.hidden_states, memory.mask)

    def step(self, input_ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]:
        hidden = self.words(input_ids)
        seen = hidden if cache is None else torch.cat([cache["seen"], hidden], dim=1)
        hidden = hidden + self.reading(hidden, seen)
        return self.out(hidden + self.asked(hidden, memory))[:, 0], {"seen": seen}


def wrong_decoder(**methods: Callable[..., Any]) -> type[nn.Module]:
    """``RightDecoder`` with one method in place of another."""
    return type("WrongDecoder", (RightDecoder,), methods)


def looks_ahead(self: RightDecoder, hidden: Tensor) -> Tensor:
    return self.reading(hidden, hidden)


def reads_memory_padding(self: RightDecoder, hidden: Tensor, memory: Features) -> Tensor:
    return self.asking(hidden, memory.hidden_states)


def is_blind(self: RightDecoder, hidden: Tensor, memory: Features) -> Tensor:
    return self.asking(hidden, hidden[:, :1])


def reads_without_gradient(self: RightDecoder, hidden: Tensor, memory: Features) -> Tensor:
    return self.asking(hidden, memory.hidden_states.detach(), memory.mask)


def mixes_the_batch(self: RightDecoder, hidden: Tensor, memory: Features) -> Tensor:
    return self.asking(hidden, memory.hidden_states, memory.mask).mean(0, keepdim=True).expand_as(hidden)


def counts_padding_of_reports(self: RightDecoder, memory: Features, ids: Tensor, mask: Tensor) -> Tensor:
    return RightDecoder.forward(self, memory, ids, mask) * ids.shape[1]


def forgets(self: RightDecoder, ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]:
    return RightDecoder.step(self, ids, memory, None)[0], {"seen": self.words(ids)}


def keeps_memory_of_its_own(self: RightDecoder, ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]:
    self.first = memory if cache is None else self.first
    if len(ids) != len(self.first.mask):
        self.first = memory
    return RightDecoder.step(self, ids, self.first, cache)


def caches_with_tokens_first(self: RightDecoder, ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]:
    cache = None if cache is None else {"seen": cache["seen"].transpose(0, 1)}
    logits, cache = RightDecoder.step(self, ids, memory, cache)
    return logits, {"seen": cache["seen"].transpose(0, 1)}


def caches_an_object(self: RightDecoder, ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]:
    logits, grown = RightDecoder.step(self, ids, memory, cache and {"seen": cache["seen"].hidden_states})
    return logits, {"seen": Features(grown["seen"], memory.mask)}


def writes_into_the_cache(self: RightDecoder, ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]:
    logits, grown = RightDecoder.step(self, ids, memory, cache)
    if cache is not None:
        cache["seen"] = grown["seen"]
        return logits, cache
    return logits, grown


def gives_all_places(self: RightDecoder, ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]:
    logits, grown = RightDecoder.step(self, ids, memory, cache)
    return logits.unsqueeze(1), grown


class HasFewPositions(RightDecoder):
    def __init__(self, tokenizer: ToyTokenizer) -> None:
        super().__init__(tokenizer)
        self.places = nn.Embedding(16, 16)

    def looked(self, hidden: Tensor) -> Tensor:
        return super().looked(hidden) + self.places(torch.arange(hidden.shape[1]))


class NamesNoTokenizer(RightDecoder):
    own_tokenizer: ClassVar[Any] = None


class HasNoWidth(RightDecoder):
    def __init__(self, tokenizer: ToyTokenizer) -> None:
        super().__init__(tokenizer)
        del self.hidden_size


class HasADeadLayer(RightDecoder):
    def __init__(self, tokenizer: ToyTokenizer) -> None:
        super().__init__(tokenizer)
        self.never_read = nn.Linear(2, 2)


class DropsOutForEver(RightDecoder):
    def looked(self, hidden: Tensor) -> Tensor:
        return nn.functional.dropout(super().looked(hidden), 0.5)


def test_a_right_decoder_passes() -> None:
    assert failures("decoders", RightDecoder) == {}


@pytest.mark.parametrize(
    ("component", "check", "sentence"),
    [
        (wrong_decoder(looked=looks_ahead), "look ahead", "words from place 1 on change"),
        (wrong_decoder(looked=looks_ahead), "padding of reports", "what stands in the padding of a report"),
        (wrong_decoder(forward=counts_padding_of_reports), "padding of reports", "longer padding of a report"),
        (wrong_decoder(asked=reads_memory_padding), "memory mask", "reads padding of the memory"),
        (wrong_decoder(asked=is_blind), "the memory is read", "does not read the memory"),
        (wrong_decoder(asked=is_blind), "gets a gradient", "fusion and encoders would learn nothing"),
        (wrong_decoder(asked=reads_without_gradient), "gets a gradient", "fusion and encoders would learn nothing"),
        (wrong_decoder(asked=mixes_the_batch), "no study reads", "mixes the studies"),
        (wrong_decoder(step=forgets), "steps give", "cached step 1 are not those"),
        (wrong_decoder(step=gives_all_places), "steps give", "a step of WrongDecoder gives (3, 1,"),
        (wrong_decoder(step=keeps_memory_of_its_own), "reordered", "rows [2, 1, 0]"),
        (wrong_decoder(step=caches_with_tokens_first), "reordered", "its first dimension is not B"),
        (wrong_decoder(step=caches_an_object), "reordered", "the cache holds Features"),
        (wrong_decoder(step=writes_into_the_cache), "leaves the cache", "writes into the cache"),
        (HasFewPositions, "every length", "raised IndexError"),
        (NamesNoTokenizer, "own tokenizer", "own_tokenizer is None"),
        (HasNoWidth, "every length", "lacks `hidden_size`"),
        (HasADeadLayer, "every parameter", "never_read.weight, never_read.bias"),
        (DropsOutForEver, "deterministic", "not deterministic"),
    ],
)
def test_a_wrong_decoder_is_caught_by_its_check(failing: Failing, component: Any, check: str, sentence: str) -> None:
    assert sentence in failing("decoders", component, check)
