"""Any causal language model of the transformers library, told the memory as a prefix or through added cross-attention."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from rrgbench import ConfigError, Cue, Cues, Features, Tokenizer
from rrgbench_decoders.crossing import Told, blocks_of, cross
from rrgbench_decoders.cueing import biased, cue_of, kept
from rrgbench_decoders.language_models import held, pretrained, small, window_of
from rrgbench_decoders.layers import KeysValues

_WHERE = "decoder `causal_lm`"


class CausalLM(nn.Module):
    """A language model that writes the report: from the hub or a folder, or a small GPT-2 with fresh weights.

    How it reads the memory:

    - ``prefix``: memory tokens, projected to the width of its words, stand before the report (LLaVA's way). They take
      positions, and padding among them takes none.
    - ``cross_attention``: blocks are followed by cross-attention and a feed-forward net behind learned tanh gates (Flamingo,
      Alayrac et al. 2022). The gates start a little open and not at 0: with 0 a small model is blind for its first steps.

    Loaded from safetensors alone, without code of its own, as float32; more words than it knows get new embeddings.

    Args:
        tokenizer: of the reports.
        model: a name on the hub.
        checkpoint: a folder that ``save_pretrained`` wrote. Its content counts in ids, its place does not.
        memory: how the memory is read.
        memory_size: width of the memory; that of the model where it is not said.
        every: ``cross_attention`` after every so many blocks.
        gate: what the gates' tanh is taken of at the beginning.
        layers, hidden_size, heads, dropout, positions: of the small model.
        gradient_checkpointing: blocks are computed again in the backward pass: less memory, more time.
        cues: what it is told of active nodes. A prompt stands between memory and report.

    Raises:
        ConfigError: ``model`` or ``checkpoint`` cannot be loaded, both are given, what they name is no causal model with a cache
            of keys and values, ``heads`` does not divide the width, or memory and report take more positions than there are.
    """

    own_tokenizer: ClassVar[Mapping[str, Any]] = {"name": "causal", "model": "$model", "checkpoint": "$checkpoint"}

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        model: str | None = None,
        checkpoint: Path | None = None,
        memory: Literal["prefix", "cross_attention"] = "prefix",
        memory_size: Annotated[int, Field(gt=0)] | None = None,
        every: Annotated[int, Field(gt=0)] = 1,
        gate: Annotated[float, Field(gt=0, le=3)] = 0.1,
        layers: Annotated[int, Field(gt=0)] = 3,
        hidden_size: Annotated[int, Field(gt=0)] = 256,
        heads: Annotated[int, Field(gt=0)] = 4,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        positions: Annotated[int, Field(gt=0)] = 1024,
        gradient_checkpointing: bool = False,
        cues: Cues | None = None,
    ) -> None:
        super().__init__()
        self.cues = cues
        self.lm: nn.Module
        if model is None and checkpoint is None:
            self.lm = small(tokenizer, layers, hidden_size, heads, dropout, positions)
        else:
            self.lm = pretrained(tokenizer, model, checkpoint)
        if gradient_checkpointing:
            self.lm.gradient_checkpointing_enable({"use_reentrant": False})
        self.vocab_size = tokenizer.vocab_size
        self.limit: int | None = getattr(self.lm.config, "max_position_embeddings", None)
        self.window = window_of(self.lm.config)
        self.takes = frozenset(inspect.signature(self.lm.forward).parameters)
        self.hidden_size = int(memory_size or self.lm.config.hidden_size)
        self.memory_norm = nn.LayerNorm(self.hidden_size)
        self.told = Told()
        self.crossed: tuple[int, ...] = ()
        words = self.lm.get_input_embeddings().weight.detach()
        self.width, spread = words.shape[1], float(words.std())
        # A place that is never padding, so that no position is without anything to read.
        fronted = memory == "prefix" or cues is not None
        self.start = nn.Parameter(spread * torch.randn(1, 1, self.width)) if fronted else None
        if memory == "prefix":
            self.project = nn.Linear(self.hidden_size, self.width)
            # As wide spread as the words that the model knows.
            nn.init.normal_(self.project.weight, std=spread * self.hidden_size**-0.5)
            nn.init.zeros_(self.project.bias)
        else:
            self.project = nn.Linear(self.hidden_size, self.lm.config.hidden_size)
            self.crossed = cross(self.lm, every, gate, self.told)

    def forward(self, memory: Features, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (B, T, vocabulary) of the next token at every place. Padding is expected at the end of a row.

        memory: (B, N, hidden_size); input_ids: (B, T); attention_mask: (B, T), which the causal mask makes superfluous.
        """
        return self._read(input_ids, memory, None, keep=False)[0]

    def step(self, input_ids: Tensor, memory: Features, cache: Mapping[str, Any] | None) -> tuple[Tensor, dict[str, Any]]:
        """The next token's logits (B, vocabulary) after ids (B, 1), and the cache with them.

        The cache holds, block by block, keys and values of all tokens (they grow) and of the memory where blocks read it (made
        once), which of the places before the report are real, (B, P) bool, and the cue.
        """
        logits, cache = self._read(input_ids, memory, cache, keep=True)
        return logits[:, -1], cache

    def _read(
        self, input_ids: Tensor, memory: Features, cache: Mapping[str, Any] | None, keep: bool
    ) -> tuple[Tensor, dict[str, Any]]:
        """Ids after those in the cache: logits (B, T, vocabulary), and the cache with them."""
        tokens = self.lm.get_input_embeddings()(input_ids)
        if cache is None:
            cue = cue_of(self.cues, memory)
            front, real, read = self._front(memory, cue)
            tokens = torch.cat([front.to(tokens.dtype), tokens], dim=1)
            cache = {"front": real, "memory": read, "tokens": (), **kept(cue)}
        past = cache["tokens"]
        length = tokens.shape[1] + (past[0][0].shape[2] if past else 0)
        given = self._places(cache["front"], length, tokens.shape[1])
        if keep:
            given["past_key_values"] = held(past)
        if "logits_to_keep" in self.takes:
            given["logits_to_keep"] = input_ids.shape[1]
        with self._telling(cache["memory"], memory.mask):
            found = self.lm(inputs_embeds=tokens, use_cache=keep, **given)
        logits: Tensor = found.logits[:, -input_ids.shape[1] :, : self.vocab_size]
        grown = tuple((layer.keys, layer.values) for layer in found.past_key_values.layers) if keep else ()
        return biased(logits, cache), {**cache, "tokens": grown}

    def _front(self, memory: Features, cue: Cue | None = None) -> tuple[Tensor, Tensor, tuple[KeysValues, ...]]:
        """What stands before the report (B, P, width), which of it is real (B, P), and what blocks read of the memory."""
        told = self.project(self.memory_norm(memory.hidden_states))
        parts: list[tuple[Tensor, Tensor]] = []
        read: tuple[KeysValues, ...] = ()
        if self.start is not None:
            parts.append((self.start.expand(len(told), -1, -1), torch.ones_like(memory.mask[:, :1])))
        if self.crossed:
            blocks = blocks_of(self.lm)
            read = tuple(blocks[place].cross.attention.keys_values(told) for place in self.crossed)
        else:
            parts.append((told, memory.mask))
        if cue is not None:
            parts.append((self.lm.get_input_embeddings()(cue.prompt_ids), cue.prompt_mask))
        if not parts:
            return told.new_zeros(len(told), 0, self.width), memory.mask[:, :0], read
        front = torch.cat([vectors.to(told.dtype) for vectors, _ in parts], dim=1)
        return front, torch.cat([mask for _, mask in parts], dim=1), read

    def _places(self, front: Tensor, length: int, asked: int) -> dict[str, Any]:
        """What the model is told of ``length`` places of which the last ``asked`` are new: nothing where all are real."""
        # Padding before the report would fill a window: what is written would hang on the other studies of a batch.
        ends = [end for end in (self.limit, self.window if front.shape[1] else None) if end is not None]
        if ends and length > min(ends):
            raise ConfigError(
                f"{_WHERE}: memory and report take more positions than the model {'has' if min(ends) == self.limit else 'reads'}",
                got=f"{front.shape[1]} places before the report and {length - front.shape[1]} words",
                expected=f"{min(ends)} in all",
                hint="a fusion with fewer tokens, `memory: cross_attention`, shorter reports, or more `positions` (small model)",
            )
        if bool(front.all()):
            return {}
        real = torch.cat([front, front.new_ones(len(front), length - front.shape[1])], dim=1).long()
        given = {"attention_mask": real, "position_ids": (real.cumsum(dim=1) - 1)[:, -asked:].clamp(min=0)}
        return {name: value for name, value in given.items() if name in self.takes}

    @contextmanager
    def _telling(self, read: tuple[KeysValues, ...], mask: Tensor) -> Iterator[None]:
        """Blocks have what they read of the memory while the model runs: its own forward has no room for it."""
        self.told.read, self.told.mask = read, mask
        try:
            yield
        finally:
            self.told.read, self.told.mask = (), None
