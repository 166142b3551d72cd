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

from rrgbench import ConfigError, Features, Tokenizer
from rrgbench.nn import Attention, FeedForward
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
    ) -> None:
        super().__init__()
        if model is not None and checkpoint is not None:
            raise ConfigError(f"{_WHERE}: options `model` and `checkpoint`", got="both", expected="at most one of them")
        self.lm: nn.Module
        if model is None and checkpoint is None:
            self.lm = _small(tokenizer, layers, hidden_size, heads, dropout, positions)
        else:
            self.lm = _pretrained(model, checkpoint)
        words: nn.Embedding = self.lm.get_input_embeddings()
        if tokenizer.vocab_size > words.num_embeddings:
            self.lm.resize_token_embeddings(tokenizer.vocab_size, mean_resizing=False)
            words = self.lm.get_input_embeddings()
        if gradient_checkpointing:
            self.lm.gradient_checkpointing_enable({"use_reentrant": False})
        config = self.lm.config
        self.vocab_size = tokenizer.vocab_size
        self.limit: int | None = getattr(config, "max_position_embeddings", None)
        self.hidden_size = int(memory_size or config.hidden_size)
        self.takes = frozenset(inspect.signature(self.lm.forward).parameters)
        self.memory_norm = nn.LayerNorm(self.hidden_size)
        self.width = words.embedding_dim
        spread = float(words.weight.detach().std())
        self.told = _Told()
        self.crossed: tuple[int, ...] = ()
        if memory == "prefix":
            self.project = nn.Linear(self.hidden_size, self.width)
            # As wide spread as the words that the model knows.
            nn.init.normal_(self.project.weight, std=spread * self.hidden_size**-0.5)
            nn.init.zeros_(self.project.bias)
            # A place that is never padding, so that no position is without anything to read.
            self.start = nn.Parameter(spread * torch.randn(1, 1, self.width))
            return
        self.project = nn.Linear(self.hidden_size, config.hidden_size)
        blocks = _blocks(self.lm)
        self.crossed = tuple(range(every - 1, len(blocks), every))
        if not self.crossed:
            raise ConfigError(f"{_WHERE}: option `every`", got=every, expected=f"at most {len(blocks)}, the number of blocks")
        for number, place in enumerate(self.crossed):
            cross = Cross(config.hidden_size, config.num_attention_heads, gate)
            blocks[place] = Crossed(blocks[place], cross, self.told, number)

    def forward(self, memory: Features, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (B, T, vocabulary) of the next token at every place. Padding is expected at the end of a row.

        memory: (B, N, hidden_size); input_ids: (B, T); attention_mask: (B, T), which the causal mask makes superfluous.
        """
        return self._read(input_ids, memory, None, keep=False)[0]

    def step(self, input_ids: Tensor, memory: Features, cache: Mapping[str, Any] | None) -> tuple[Tensor, dict[str, Any]]:
        """The next token's logits (B, vocabulary) after ids (B, 1), and the cache with them.

        The cache holds, block by block, keys and values of all tokens (they grow) and of the memory where blocks read it (made
        once), and which of the places before the report are real, (B, P) bool.
        """
        logits, cache = self._read(input_ids, memory, cache, keep=True)
        return logits[:, -1], cache

    def _read(
        self, input_ids: Tensor, memory: Features, cache: Mapping[str, Any] | None, keep: bool
    ) -> tuple[Tensor, dict[str, Any]]:
        """Ids after those in the cache: logits (B, T, vocabulary), and the cache with them."""
        tokens = self.lm.get_input_embeddings()(input_ids)
        if cache is None:
            front, real, read = self._front(memory)
            tokens = torch.cat([front.to(tokens.dtype), tokens], dim=1)
            cache = {"front": real, "memory": read, "tokens": ()}
        past = cache["tokens"]
        length = tokens.shape[1] + (past[0][0].shape[2] if past else 0)
        given = self._places(cache["front"], length, tokens.shape[1])
        if keep:
            given["past_key_values"] = _held(past)
        if "logits_to_keep" in self.takes:
            given["logits_to_keep"] = input_ids.shape[1]
        with self._telling(cache["memory"], memory.mask):
            found = self.lm(inputs_embeds=tokens, use_cache=keep, **given)
        logits: Tensor = found.logits[:, -input_ids.shape[1] :, : self.vocab_size]
        grown = tuple((layer.keys, layer.values) for layer in found.past_key_values.layers) if keep else ()
        return logits, {**cache, "tokens": grown}

    def _front(self, memory: Features) -> tuple[Tensor, Tensor, tuple[KeysValues, ...]]:
        """What stands before the report (B, P, width), which of it is real (B, P), and what blocks read of the memory."""
        told = self.project(self.memory_norm(memory.hidden_states))
        if self.crossed:
            blocks = _blocks(self.lm)
            read = tuple(blocks[place].cross.attention.keys_values(told) for place in self.crossed)
            return told.new_zeros(len(told), 0, self.width), memory.mask[:, :0], read
        real = torch.cat([torch.ones_like(memory.mask[:, :1]), memory.mask], dim=1)
        return torch.cat([self.start.expand(len(told), -1, -1).to(told.dtype), told], dim=1), real, ()

    def _places(self, front: Tensor, length: int, asked: int) -> dict[str, Any]:
        """What the model is told of ``length`` places of which the last ``asked`` are new: nothing where all are real."""
        if self.limit is not None and length > self.limit:
            raise ConfigError(
                f"{_WHERE}: memory and report take more positions than the model has",
                got=f"{front.shape[1]} places before the report and {length - front.shape[1]} words",
                expected=f"{self.limit} in all",
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


class _Told:
    """What blocks read of the memory: keys and values for each that reads it, and the mask (B, N)."""

    read: tuple[KeysValues, ...] = ()
    mask: Tensor | None = None


class Cross(nn.Module):
    """Gated cross-attention and feed-forward net (Alayrac et al. 2022, 2.2)."""

    def __init__(self, dim: int, heads: int, gate: float) -> None:
        super().__init__()
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention, self.feed_forward = Attention(dim, heads), FeedForward(dim)
        self.gates = nn.Parameter(torch.full((2,), gate))

    def forward(self, hidden: Tensor, memory: KeysValues, mask: Tensor | None) -> Tensor:
        """(B, T, dim) to (B, T, dim)."""
        first, second = self.gates.tanh()
        hidden = hidden + first * self.attention.attend(self.attention_norm(hidden), *memory, mask)
        answer: Tensor = hidden + second * self.feed_forward(self.feed_forward_norm(hidden))
        return answer


class Crossed(nn.Module):
    """A block of a language model, then cross-attention. It stands in the block's place, and passes for it."""

    def __init__(self, block: nn.Module, cross: Cross, told: _Told, number: int) -> None:
        super().__init__()
        self.block, self.cross = block, cross
        self.told, self.number = told, number

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("block"), name)

    def forward(self, *given: Any, **named: Any) -> Any:
        """As the block's."""
        answer = self.block(*given, **named)
        several = isinstance(answer, tuple)
        hidden = self.cross(answer[0] if several else answer, self.told.read[self.number], self.told.mask)
        return (hidden, *answer[1:]) if several else hidden


def _blocks(lm: Any) -> nn.ModuleList:
    """The blocks of a language model, which may be changed."""
    for module in lm.modules():
        if isinstance(module, nn.ModuleList) and len(module) == lm.config.num_hidden_layers:
            return module
    raise ConfigError(
        f"{_WHERE}: option `memory`", got="cross_attention", expected="prefix, for a model without a list of blocks"
    )


def _held(past: tuple[KeysValues, ...]) -> Any:
    """A cache of transformers with these keys and values, which stay as they are: its layers grow by making new tensors."""
    from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

    if not past:
        return DynamicCache()
    layers = [DynamicLayer() for _ in past]
    for layer, (keys, values) in zip(layers, past, strict=True):
        layer.keys, layer.values, layer.is_initialized = keys, values, True
        layer.dtype, layer.device = keys.dtype, keys.device
    return Cache(layers=layers)


def _small(tokenizer: Tokenizer, layers: int, width: int, heads: int, dropout: float, positions: int) -> nn.Module:
    """A GPT-2 (Radford et al. 2019) with fresh weights."""
    # Imported here: it takes seconds, and the other decoders do without.
    from transformers import GPT2Config, GPT2LMHeadModel

    if width % heads:
        raise ConfigError(f"{_WHERE}: `heads` does not divide the width", got=f"{heads} heads for a width of {width}")
    config = GPT2Config(
        vocab_size=tokenizer.vocab_size,
        n_positions=positions,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    made: nn.Module = GPT2LMHeadModel(config)
    return made


def _pretrained(model_name: str | None, checkpoint: Path | None) -> nn.Module:
    import safetensors
    from transformers import AutoModelForCausalLM

    option, name = ("model", model_name) if checkpoint is None else ("checkpoint", str(checkpoint))
    assert name is not None
    if checkpoint is None and (name.startswith(("/", ".", "~")) or Path(name).is_dir()):
        hint = "name a folder by the option `checkpoint`, so that its content counts"
        raise ConfigError(f"{_WHERE}: option `model` is a name on the hub, not a folder", got=name, hint=hint)
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": checkpoint is not None}
    try:
        made: nn.Module = AutoModelForCausalLM.from_pretrained(name, use_safetensors=True, **options).float().eval()
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, safetensors.SafetensorError) as error:
        raise ConfigError(
            f"{_WHERE}: option `{option}` cannot be loaded",
            got=f"{name} ({type(error).__name__}: {error})",
            expected="a folder with config.json and model.safetensors of a causal model, or a name on the hub in reach",
        ) from error
    if not _is_causal(made):
        expected = "a causal model with a cache of keys and values, as GPT-2, OPT, GPT-NeoX or Llama"
        raise ConfigError(f"{_WHERE}: option `{option}`", got=f"{name}, a {type(made).__name__}", expected=expected)
    return made


@torch.no_grad()
def _is_causal(lm: Any) -> bool:
    """Whether a word leaves the logits before it as they are, and a cache has keys and values."""
    one, other = (lm(input_ids=torch.tensor([[0, word]]), use_cache=True) for word in (0, 1))
    layers = getattr(one.past_key_values, "layers", ())
    kept = bool(layers) and all(isinstance(getattr(layer, "keys", None), Tensor) for layer in layers)
    return kept and torch.allclose(one.logits[:, 0], other.logits[:, 0], atol=1e-4)
