"""What losses beside the report's read of the encoders: embeddings, and logits of findings, lungs, pairs, nodes and words."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rrgbench.types import Features

_LARGEST_SCALE = 100.0
_FIRST_SCALE = 1 / 0.07
_FIRST_SHARE = -2.0
"""Logits of nodes start at a probability of .12: of many nodes a report states few."""


class Heads(nn.Module):
    """Every head is there where a loss of the stage reads it.

    Args:
        dims: name of an encoder (image, text, knowledge, report) -> width of its tokens. Reports are read by ``report`` where it
            is there, else by ``text``.
        embedding_dim: width of the common space of films and reports, of those that are there; None without it.
            Its temperature is learnt, starts at .07 and ends at .01, as in CLIP (Radford et al., 2021).
        findings: number of findings; 0 without their logits.
        masks: whether each token of a film tells how much lung there is at its place.
        matching_dim: width in which films and reports are matched pair by pair; None without it.
        node_dim: width in which nodes of the knowledge graph look for their place on films; None without it.
        entity_dim: width in which nodes of the knowledge graph are held against reports; None without it.
        words: size of the text encoder's vocabulary, where masked words are guessed; 0 without.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        *,
        embedding_dim: int | None = None,
        findings: int = 0,
        masks: bool = False,
        matching_dim: int | None = None,
        node_dim: int | None = None,
        entity_dim: int | None = None,
        words: int = 0,
    ) -> None:
        super().__init__()
        self.image_projection = self.report_projection = self.log_scale = self.findings = self.masks = None
        report = dims.get("report", dims.get("text"))
        if embedding_dim is not None:
            if "image" in dims:
                self.image_projection = nn.Linear(dims["image"], embedding_dim, bias=False)
            if report is not None:
                self.report_projection = nn.Linear(report, embedding_dim, bias=False)
            self.log_scale = nn.Parameter(torch.tensor(_FIRST_SCALE).log())
        if findings:
            self.findings = nn.Linear(dims["image"], findings)
        if masks:
            self.masks = nn.Linear(dims["image"], 1)
        self.matching = self.nodes = self.entities = self.words = None
        if matching_dim is not None:
            assert report is not None, "pairs are planned for cells that read reports alone"
            self.matching = Matching(dims["image"], report, matching_dim)
        if node_dim is not None:
            self.nodes = NodeSimilarity(dims["knowledge"], dims["image"], node_dim)
        if entity_dim is not None:
            assert report is not None, "entities are planned for cells that read reports alone"
            self.entities = NodeSimilarity(dims["knowledge"], report, entity_dim)
        if words:
            self.words = nn.Linear(dims["text"], words)

    @property
    def reads_reports(self) -> bool:
        """Whether a head reads what an encoder makes of reports."""
        return any(head is not None for head in (self.report_projection, self.matching, self.entities))

    def embed_image(self, image: Features) -> Tensor | None:
        """(B, E) of length 1."""
        return None if self.image_projection is None else F.normalize(self.image_projection(_mean(image)), dim=1)

    def embed_report(self, report: Features) -> Tensor | None:
        """(B, E) of length 1."""
        return None if self.report_projection is None else F.normalize(self.report_projection(_mean(report)), dim=1)

    def scale(self) -> Tensor | None:
        """What cosines are multiplied with."""
        return None if self.log_scale is None else self.log_scale.exp().clamp(max=_LARGEST_SCALE)

    def finding_logits(self, image: Features) -> Tensor | None:
        """(B, K)."""
        found: Tensor | None = None if self.findings is None else self.findings(_mean(image))
        return found

    def mask_logits(self, image: Features, shares: Tensor | None) -> Tensor | None:
        """One a token, in the shape of ``shares`` (B, V, h, w); None without them."""
        return None if self.masks is None or shares is None else self.masks(image.hidden_states).reshape(shares.shape)


class Matching(nn.Module):
    """Whether a film and a report belong together, for every pair of a batch: each word looks for its place on the film, and a
    linear layer reads how what it found goes with it (stacked cross attention, Lee et al., 2018; the task is that of ALBEF,
    Li et al., 2021).

    Args:
        image: width of a film's tokens.
        report: width of a report's tokens.
        width: of queries, keys and values.
    """

    def __init__(self, image: int, report: int, width: int) -> None:
        super().__init__()
        self.words = nn.Linear(report, width)
        self.places = nn.Linear(image, 2 * width)
        self.norm = nn.LayerNorm(width)
        self.verdict = nn.Linear(width, 1)

    def forward(self, image: Features, report: Features) -> Tensor:
        """Films (B, N, .) and reports (B, R, .) to (B, B): row film, column report."""
        words = self.words(report.hidden_states)
        keys, values = self.places(image.hidden_states).chunk(2, dim=-1)
        scores = torch.einsum("jrd,ind->ijrn", words, keys) * words.shape[-1] ** -0.5
        weights = scores.masked_fill(~image.mask[:, None, None], -torch.inf).softmax(dim=-1)
        found = torch.einsum("ijrn,ind->ijrd", weights, values)
        real = report.mask[None, :, :, None]
        together = (self.norm(found) * words).masked_fill(~real, 0.0).sum(dim=2) / real.sum(dim=2)
        verdict: Tensor = self.verdict(together)
        return verdict.squeeze(-1)


class NodeSimilarity(nn.Module):
    """How well each node of the knowledge graph goes with the tokens of a study: the mean cosine over its tokens, each weighted
    by its own closeness to the node, so that one region or one word is enough.

    Args:
        node: width of a node's token.
        token: width of a study's tokens.
        width: in which they are compared.
    """

    def __init__(self, node: int, token: int, width: int) -> None:
        super().__init__()
        self.node = nn.Linear(node, width, bias=False)
        self.token = nn.Linear(token, width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.bias = nn.Parameter(torch.tensor(_FIRST_SHARE))

    def forward(self, nodes: Tensor, tokens: Features) -> Tensor:
        """Nodes (G, D) and tokens (B, N, .) to logits (B, G)."""
        scale = self.log_scale.exp().clamp(max=_LARGEST_SCALE)
        asked = F.normalize(self.node(nodes), dim=-1)
        cosines = F.normalize(self.token(tokens.hidden_states), dim=-1) @ asked.T
        weights = (scale * cosines).masked_fill(~tokens.mask[..., None], -torch.inf).softmax(dim=1)
        near: Tensor = (weights * cosines).sum(dim=1)
        return scale * near + self.bias


def _mean(features: Features) -> Tensor:
    """The mean of the real tokens, (B, D)."""
    weights = features.mask.to(features.hidden_states.dtype)
    return (features.hidden_states * weights[..., None]).sum(dim=1) / weights.sum(dim=1, keepdim=True)
