"""Small components that satisfy the Protocols, and studies to train them on. Loaded by tests through their path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from rrgbench import Features, Inputs, Targets
from rrgbench.batches import StudySet
from rrgbench.model import Model

WORDS = ("the", "heart", "lungs", "is", "are", "clear", "large", "normal", "no", "effusion", "left", "right", ".")
WIDTH = 16


class ToyTokenizer:
    """Words by the space; pad 0, bos 1, eos 2, unknown 3."""

    def __init__(self, max_length: int = 24) -> None:
        self.vocab_size = len(WORDS) + 4
        self.pad_token_id, self.bos_token_id, self.eos_token_id = 0, 1, 2
        self.max_length = max_length

    def encode(self, text: str) -> list[int]:
        ids = [WORDS.index(word) + 4 if word in WORDS else 3 for word in text.split()]
        return [1, *ids[: self.max_length - 2], 2]

    def decode(self, ids) -> str:
        return " ".join(WORDS[token - 4] if token > 3 else "?" for token in ids if token > 2)


class ToyImageEncoder(nn.Module):
    """Patches of 4 pixels with batch norm and dropout, so that training mode and padding would show."""

    def __init__(self, size: int = 8, dropout: float = 0.1) -> None:
        super().__init__()
        self.num_features = WIDTH
        self.size = size
        self.patches = nn.Conv2d(1, WIDTH, 4, stride=4, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.dropout = nn.Dropout(dropout)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        small = image.convert("L").resize((self.size, self.size))
        return torch.from_numpy(np.array(small))[None]

    def transform(self, pixels: torch.Tensor, train: bool) -> torch.Tensor:
        values = pixels.float() / 255
        return values + 0.01 * torch.randn_like(values) if train else values

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.norm(self.patches(pixel_values))).flatten(2).transpose(1, 2)


class ToyTextEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.num_features = WIDTH
        self.tokenizer = ToyTokenizer()
        self.embed = nn.Embedding(self.tokenizer.vocab_size, WIDTH)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.embed(input_ids)


class ToyKnowledgeEncoder(nn.Module):
    def __init__(self, nodes: int = 5) -> None:
        super().__init__()
        self.num_features = WIDTH
        self.nodes = nn.Parameter(torch.randn(nodes, WIDTH))
        self.null = nn.Parameter(torch.randn(WIDTH))

    def forward(self, active_nodes: torch.Tensor) -> torch.Tensor:
        tokens = self.nodes * active_nodes[:, :, None]
        none = ~active_nodes.any(dim=1)
        return torch.cat([torch.where(none[:, None, None], self.null, tokens[:, :1]), tokens[:, 1:]], dim=1)


class ToyFusion(nn.Module):
    """Projects every source and lays them end to end."""

    def __init__(self, sources: tuple[str, ...], memory_dim: int = WIDTH) -> None:
        super().__init__()
        self.project = nn.ModuleDict({source: nn.Linear(WIDTH, memory_dim) for source in sources})

    def forward(self, features) -> Features:
        tokens = [self.project[source](given.hidden_states) for source, given in features.items()]
        return Features(torch.cat(tokens, dim=1), torch.cat([given.mask for given in features.values()], dim=1))


class ToyDecoder(nn.Module):
    """One layer of attention over words and memory, with tied embeddings and a key-value cache."""

    own_tokenizer = {"name": "toy"}

    def __init__(self, vocabulary: int = len(WORDS) + 4, width: int = WIDTH, dropout: float = 0.1, longest: int = 32) -> None:
        super().__init__()
        self.hidden_size = width
        self.embed = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(longest, width)
        self.query, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # a bias would train on rounding alone
        self.read_query, self.read = nn.Linear(width, width), nn.Linear(width, 2 * width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.embed.weight

    def _write(self, states, keys, values, seen, memory, read):
        hidden = states + _attend(self.query(states), keys, values, seen)
        memory_keys, memory_values = read.chunk(2, dim=-1)
        hidden = hidden + _attend(self.read_query(hidden), memory_keys, memory_values, memory.mask[:, None])
        return self.head(self.dropout(hidden))

    def forward(self, memory: Features, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        length = input_ids.shape[1]
        states = self.embed(input_ids) + self.places(torch.arange(length))
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        seen = causal & attention_mask[:, None] | torch.eye(length, dtype=torch.bool)
        return self._write(states, self.key(states), self.value(states), seen, memory, self.read(memory.hidden_states))

    def step(self, input_ids: torch.Tensor, memory: Features, cache):
        keys = cache["own"][0] if cache else input_ids.new_zeros(len(input_ids), 0, self.hidden_size, dtype=torch.float)
        values = cache["own"][1] if cache else keys
        states = self.embed(input_ids) + self.places.weight[keys.shape[1]]
        keys, values = torch.cat([keys, self.key(states)], dim=1), torch.cat([values, self.value(states)], dim=1)
        read = cache["read"] if cache else self.read(memory.hidden_states)
        seen = torch.ones(1, 1, keys.shape[1], dtype=torch.bool)
        return self._write(states, keys, values, seen, memory, read)[:, 0], {"own": (keys, values), "read": read}


def _attend(query, key, value, seen):
    scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
    return scores.masked_fill(~seen, -torch.inf).softmax(dim=-1) @ value


class ToyCrossEntropy:
    needs = frozenset({"logits"})

    def __call__(self, output, targets) -> torch.Tensor:
        wanted = targets.input_ids[:, 1:].masked_fill(~targets.attention_mask[:, 1:], -100)
        return nn.functional.cross_entropy(output.logits[:, :-1].flatten(0, 1), wanted.flatten())


class ToyQuiet:
    """A second loss: small memories."""

    needs = frozenset({"memory"})

    def __call__(self, output, targets) -> torch.Tensor:
        return output.memory.hidden_states.pow(2).mean()


def make_model(seed: int = 0, sources: tuple[str, ...] = ("image", "text"), decoder: nn.Module | None = None) -> Model:
    torch.manual_seed(seed)
    encoders = {"image": ToyImageEncoder, "text": ToyTextEncoder, "knowledge": ToyKnowledgeEncoder}
    made = {source: encoders[source]() for source in sources}
    return Model(made, ToyFusion(sources), decoder or ToyDecoder())


def make_studies(count: int, seed: int = 0) -> tuple[list[Inputs], list[Targets], np.ndarray]:
    """Invented studies with one to three views, and their prepared films."""
    random = np.random.default_rng(seed)
    inputs, targets, films = [], [], []
    for number in range(count):
        views = ("frontal", "lateral", "other")[: 1 + number % 3]
        context = " ".join(random.choice(WORDS, size=number % 5))
        inputs.append(Inputs(f"s{number}", f"p{number}", tuple(Path(f"{number}-{view}.png") for view in views), views, context))
        report = " ".join(random.choice(WORDS, size=3 + number % 7))
        targets.append(Targets(f"s{number}", report, {"effusion": number % 2}))
        films += [random.integers(0, 256, (1, 8, 8), dtype=np.uint8) for _ in views]
    return inputs, targets, np.stack(films)


def make_set(count: int = 11, seed: int = 0, targets: bool = True, **more) -> StudySet:
    inputs, reports, pixels = make_studies(count, seed)
    known = {"targets": reports, "report_tokenizer": ToyTokenizer()} if targets else {}
    return StudySet(inputs, pixels=pixels, context_tokenizer=ToyTokenizer(), **known, **more)
