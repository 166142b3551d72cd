"""Small things to try components with: invented reports, a tokenizer, features, a graph, and a data set with films."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rrgbench.interfaces import VALUES, Tokenizer
from rrgbench.types import SPLITS, Cue, Examples, Features, Inputs, KnowledgeGraph, License, Node, Split, Targets

REPORTS: tuple[str, ...] = (
    "the heart is normal in size . the lungs are clear .",
    "the heart is large . there is a small effusion on the left side .",
    "the lungs are clear . there is no effusion .",
    "there is a nodule in the right lung . the heart is normal in size .",
    "no acute finding .",
    "there is a large effusion on the right side . the heart is large .",
)
"""Invented reports, with words that occur more than once."""

CONTEXTS: tuple[str, ...] = ("chest pain", "shortness of breath", "", "cough and chest pain", "shortness of breath", "cough")
"""Invented indications, one of them empty."""


class ToyTokenizer:
    """Words between spaces, over the words of the given texts; satisfies ``rrgbench.Tokenizer``."""

    pad_token_id, bos_token_id, eos_token_id, unk_token_id = range(4)

    def __init__(self, texts: Sequence[str] = REPORTS, max_length: int = 20) -> None:
        self._words = ("<pad>", "<bos>", "<eos>", "<unk>", *sorted({word for text in texts for word in text.split()}))
        self.vocab_size = len(self._words)
        self.max_length = max_length

    def encode(self, text: str) -> list[int]:
        """``[bos, .., eos]``, at most ``max_length`` ids."""
        ids = {word: number for number, word in enumerate(self._words)}
        found = [ids.get(word, self.unk_token_id) for word in text.split()]
        return [self.bos_token_id, *found[: self.max_length - 2], self.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Words with a space between them; special ids are left out."""
        return " ".join(self._words[each] for each in ids if each > self.unk_token_id)


def generator(seed: int = 0) -> torch.Generator:
    """A generator of its own, so that a check neither depends on the global one nor moves it."""
    return torch.Generator().manual_seed(seed)


TOKENS: Mapping[str, int] = {"image": 6, "text": 5, "knowledge": 4}
"""How many tokens the toy features of a source have."""


def toy_features(dims: Mapping[str, int], studies: int = 3, seed: int = 0) -> dict[str, Features]:
    """Random features of every source in ``dims``: (studies, N, dims[source]), with padding that differs by study.

    The first study is without padding. View ids stand on image tokens alone.
    """
    random = generator(seed)
    features = {}
    for source, dim in dims.items():
        count = TOKENS.get(source, 4)
        mask = torch.arange(count) < (count - torch.arange(studies) % (count - 1)).unsqueeze(1)
        views = torch.ones(studies, count, dtype=torch.int64) if source == "image" else None
        features[source] = Features(torch.randn(studies, count, dim, generator=random), mask, views)
    return features


def toy_graph() -> KnowledgeGraph:
    """Three nodes and two edges."""
    nodes = (Node("heart", "anatomy"), Node("lung", "anatomy"), Node("effusion", "observation"))
    return KnowledgeGraph(nodes, torch.tensor([[2, 2], [0, 1]]), torch.tensor([0, 0]))


class ToyCues:
    """The names of active nodes as a prompt, and a bias of their words. ``filler`` stands in padding, ``room`` more of it."""

    def __init__(self, tokenizer: Tokenizer, graph: KnowledgeGraph, *, filler: int = 0, room: int = 0) -> None:
        self._names = [tokenizer.encode(node.name)[1:-1] for node in graph.nodes]
        self._vocabulary, self._filler, self._room = tokenizer.vocab_size, filler, room

    def __call__(self, active_nodes: Tensor) -> Cue:
        """Active nodes (B, G) bool."""
        chosen = [[ids for ids, active in zip(self._names, row, strict=True) if active] for row in active_nodes.tolist()]
        found = [[one for ids in names for one in ids] for names in chosen]
        bias = torch.zeros(len(found), self._vocabulary)
        prompt = torch.full((len(found), max(map(len, found)) + self._room), self._filler)
        for row, likelier, ids in zip(prompt, bias, found):
            row[: len(ids)] = torch.tensor(ids, dtype=torch.int64)
            likelier[ids] = 1.5
        return Cue(prompt, torch.arange(prompt.shape[1]) < torch.tensor([len(ids) for ids in found])[:, None], bias)


def toy_values(**given: Any) -> dict[str, Any]:
    """A toy for every platform value that is no folder and no module; ``given`` go before them."""
    inputs = tuple(Inputs(f"s{n}", f"p{n}", (), (), context) for n, context in enumerate(CONTEXTS))
    examples = Examples(inputs, tuple(Targets(f"s{n}", report) for n, report in enumerate(REPORTS)))
    values = {
        "train_reports": REPORTS,
        "train_contexts": CONTEXTS,
        "train": examples,
        "validate": examples,
        "tokenizer": ToyTokenizer(),
        "own_tokenizer": ToyTokenizer(),
        "graph": toy_graph(),
        "dims": {"image": 12, "text": 10, "knowledge": 6},
        "memory_dim": 16,
        "seed": 0,
        **given,
    }
    assert set(values) <= set(VALUES), f"no platform values: {sorted(set(values) - set(VALUES))}"
    return values


class ToyDataset:
    """A data set in a moment: a bright square on the left or the right of a dark film, and a report that says where.

    The context says of every second study what the film does not show: whether there is pain. Two studies a subject.

    Args:
        cache_dir: where the films are written, as PNG of 32 x 32 pixels.
        studies: of the train split; validate and test have half as many, and at least two.
    """

    license: ClassVar[License] = "open"

    def __init__(self, cache_dir: Path, *, studies: int = 8) -> None:
        self._folder = cache_dir
        self._inputs: dict[Split, tuple[Inputs, ...]] = {}
        self._targets: dict[Split, tuple[Targets, ...]] = {}
        cache_dir.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            count = studies if split == "train" else max(2, studies // 2)
            pairs = [self._study(split, number) for number in range(count)]
            self._inputs[split] = tuple(inputs for inputs, _ in pairs)
            self._targets[split] = tuple(targets for _, targets in pairs)

    def _study(self, split: Split, number: int) -> tuple[Inputs, Targets]:
        study, right, pain = f"{split}-{number}", number % 2, number // 2 % 2
        pixels = np.full((32, 32), 20 + number % 7, dtype=np.uint8)
        pixels[10:22, 18 * right + 1 : 18 * right + 13] = 220
        path = self._folder / f"{study}.png"
        Image.fromarray(pixels).save(path)
        side = ("left", "right")[right]
        report = f"there is a square on the {side} side . there is {'pain' if pain else 'no pain'} ."
        context = ("no complaint", "chest pain")[pain] if number % 2 == 0 else ""
        inputs = Inputs(study, f"{split}-subject-{number // 2}", (path,), ("frontal",), context)
        return inputs, Targets(study, report, {"right": right, "pain": pain})

    def inputs(self, split: Split) -> Sequence[Inputs]:
        """What a generator may see of a split."""
        return self._inputs[split]

    def targets(self, split: Split) -> Sequence[Targets]:
        """What it is judged by, in the same order."""
        return self._targets[split]

    def sources(self) -> Sequence[Path]:
        """None: everything but the films stands in the code."""
        return ()


def normal_words(text: str) -> list[str]:
    """Lower-case words without punctuation, to compare texts by."""
    return re.findall(r"\w+", text.lower())
