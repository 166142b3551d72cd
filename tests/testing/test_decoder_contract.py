"""Each mistake in a decoder is caught by the check that is for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from rrgbench import Cue, Cues, Features
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


# Cues.


class CuedDecoder(RightDecoder):
    """``RightDecoder`` with cues: the mistakes below are made in it, one at a time."""

    def __init__(self, tokenizer: ToyTokenizer, *, cues: Cues | None = None) -> None:
        super().__init__(tokenizer)
        self.cues = cues

    def cue(self, memory: Features) -> Cue:
        studies = len(memory.mask)
        if self.cues is None or memory.active_nodes is None:
            none = torch.zeros(studies, 0, dtype=torch.int64)
            return Cue(none, none.bool(), torch.zeros(studies, self.out.out_features))
        return self.cues(memory.active_nodes)

    def forward(self, memory: Features, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        cue = self.cue(memory)
        hidden = self.words(torch.cat([cue.prompt_ids, input_ids], dim=1))
        real = torch.cat([cue.prompt_mask, torch.ones_like(input_ids, dtype=torch.bool)], dim=1)
        hidden = hidden + self.before(hidden, real)
        logits = self.out(hidden + self.asked(hidden, memory))[:, cue.prompt_ids.shape[1] :]
        return logits + cue.logit_bias[:, None]

    def before(self, hidden: Tensor, real: Tensor) -> Tensor:
        """Real places up to each one's own, one after the other."""
        own = torch.eye(hidden.shape[1], dtype=torch.bool)
        found = [
            self.reading(hidden[:, place : place + 1], hidden[:, : place + 1], (real | own[place])[:, : place + 1])
            for place in range(hidden.shape[1])
        ]
        return torch.cat(found, dim=1)

    def step(self, input_ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]:
        if cache is None:
            cue = self.cue(memory)
            cache = {"seen": self.words(cue.prompt_ids), "real": cue.prompt_mask, "bias": cue.logit_bias}
        hidden = self.words(input_ids)
        seen, real = torch.cat([cache["seen"], hidden], dim=1), torch.cat([cache["real"], input_ids >= 0], dim=1)
        hidden = hidden + self.reading(hidden, seen, real)
        return self.out(hidden + self.asked(hidden, memory))[:, 0] + cache["bias"], {**cache, "seen": seen, "real": real}


def wrong_cued(**methods: Callable[..., Any]) -> type[nn.Module]:
    """``CuedDecoder`` with one method in place of another."""
    return type("WrongCued", (CuedDecoder,), methods)


def is_told_nothing(self: CuedDecoder, memory: Features) -> Cue:
    cue = CuedDecoder.cue(self, memory)
    return Cue(cue.prompt_ids[:, :0], cue.prompt_mask[:, :0], cue.logit_bias)


def adds_no_bias(self: CuedDecoder, memory: Features) -> Cue:
    cue = CuedDecoder.cue(self, memory)
    return Cue(cue.prompt_ids, cue.prompt_mask, 0 * cue.logit_bias)


def reads_padding_of_prompts(self: CuedDecoder, memory: Features) -> Cue:
    cue = CuedDecoder.cue(self, memory)
    return Cue(cue.prompt_ids, torch.ones_like(cue.prompt_mask), cue.logit_bias)


def shares_the_bias(self: CuedDecoder, memory: Features) -> Cue:
    cue = CuedDecoder.cue(self, memory)
    return Cue(cue.prompt_ids, cue.prompt_mask, cue.logit_bias.mean(0, keepdim=True).expand_as(cue.logit_bias))


def forgets_the_bias(self: CuedDecoder, ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]:
    logits, cache = CuedDecoder.step(self, ids, memory, cache)
    return logits - cache["bias"], cache


def reads_behind(self: CuedDecoder, hidden: Tensor, real: Tensor) -> Tensor:
    return self.reading(hidden, hidden, real | torch.eye(hidden.shape[1], dtype=torch.bool)[0])


def keeps_cues_of_its_own(self: CuedDecoder, ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]:
    logits, cache = CuedDecoder.step(self, ids, memory, cache)
    self.first = cache["bias"] if len(ids) == 3 and not hasattr(self, "first") else self.first
    return logits - cache["bias"] + self.first[torch.arange(len(ids)) % 3], cache


def is_always_told(self: CuedDecoder, memory: Features) -> Cue:
    cue = CuedDecoder.cue(self, memory)
    return cue if memory.active_nodes is None else Cue(cue.prompt_ids, cue.prompt_mask, cue.logit_bias + 1)


class HasADeadHint(CuedDecoder):
    def __init__(self, tokenizer: ToyTokenizer, *, cues: Cues | None = None) -> None:
        super().__init__(tokenizer, cues=cues)
        self.hint = None if cues is None else nn.Parameter(torch.ones(3))


def test_a_right_decoder_with_cues_passes() -> None:
    assert failures("decoders", CuedDecoder) == {}


@pytest.mark.parametrize(
    ("component", "check", "sentence"),
    [
        (wrong_cued(step=RightDecoder.step), "cued steps", "with cues: the logits of cached step 0"),
        (wrong_cued(step=forgets_the_bias), "cued steps", "with cues: the logits of cached step 0"),
        (wrong_cued(cue=is_told_nothing), "cues are read", "does not read the words of its cues"),
        (wrong_cued(cue=adds_no_bias), "cues are read", "does not add the bias"),
        (wrong_cued(cue=reads_padding_of_prompts), "cues of another study", "mixes the cues of a batch"),
        (wrong_cued(cue=shares_the_bias), "cues of another study", "mixes the cues of a batch"),
        (wrong_cued(before=reads_behind), "no later word", "with cues looks ahead"),
        (wrong_cued(step=keeps_cues_of_its_own), "go with their rows", "to rows [2, 1, 0] a step gives other logits"),
        (wrong_cued(cue=is_always_told), "without active nodes", "is told something where no node is active"),
        (HasADeadHint, "no parameter dead", "hint"),
    ],
)
def test_wrong_use_of_cues_is_caught_by_its_check(failing: Failing, component: Any, check: str, sentence: str) -> None:
    assert sentence in failing("decoders", component, check)
