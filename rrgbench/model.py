"""The model: encoders, fusion and decoder put together. It knows kinds of component, never a component."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rrgbench.errors import ConfigError, PluginError
from rrgbench.heads import Heads
from rrgbench.interfaces import SOURCES, Decoder, Fusion, ImageEncoder, KnowledgeEncoder, TextEncoder
from rrgbench.masking import mask_words
from rrgbench.sampling import sample
from rrgbench.types import UNKNOWN, VIEWS, Features, InputBatch, Output, Samples, Sampling, TargetBatch

MODULES: tuple[str, ...] = (*SOURCES, "report", "fusion", "decoder", "heads")
"""The names under which a recipe trains, adapts and paces the parts of a model."""

_Given = TypeVar("_Given")


def is_frozen(module: nn.Module) -> bool:
    """Whether a module has parameters and none of them is trained."""
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


class Model(nn.Module):
    """A report generator, or those parts of one that the losses of a stage read.

    The views of a study are folded into the batch for the image encoder, their tokens laid end to end, and an embedding
    of the view (owned by the model, part of module ``image``) added to each. Only real films are encoded, so that padding
    can touch no batch statistic. A frozen part stays in evaluation mode: no dropout, no running statistics.

    Args:
        encoders: source -> encoder, for the sources (of image, text, knowledge) that are present.
        fusion: features to memory; None where no report is written of studies.
        decoder: memory to report; without a fusion it learns to write without being told what.
        heads: for losses beside the report's; None where there are none.
        report_encoder: reads reports for losses and retrieval, never for a generator; None where the text encoder does.
    """

    augment = True
    """Whether films are augmented while the model is in training mode."""

    needs: frozenset[str] | None = None
    """What of ``Output`` its losses read, so that ``forward`` makes no more; None makes all that the parts can give."""

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        fusion: nn.Module | None = None,
        decoder: nn.Module | None = None,
        heads: Heads | None = None,
        report_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        assert set(encoders) <= set(SOURCES), f"sources are {SOURCES}, not {sorted(encoders)}"
        assert fusion is None or decoder is not None, "a decoder reads what a fusion makes"
        self.encoders = nn.ModuleDict({source: encoders[source] for source in SOURCES if source in encoders})
        if "image" in self.encoders:
            self.view_embedding = nn.Embedding(len(VIEWS), cast(ImageEncoder, self.encoders["image"]).num_features)
            nn.init.normal_(self.view_embedding.weight, std=0.02)
        self.fusion = fusion
        self.decoder = decoder
        self.heads = heads
        self.report_encoder = report_encoder

    def train(self, mode: bool = True) -> Model:
        """As ``nn.Module.train``, but frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in (*self.encoders.values(), self.report_encoder, self.fusion, self.decoder):
            if mode and part is not None and is_frozen(part):
                part.eval()
        return self

    def modules_by_name(self) -> dict[str, nn.Module]:
        """The parts by the names that a recipe uses; ``image`` holds the image encoder and the view embedding."""
        parts: dict[str, nn.Module] = dict(self.encoders.items())
        if "image" in parts:
            parts["image"] = nn.ModuleList([parts["image"], self.view_embedding])
        others = {"report": self.report_encoder, "fusion": self.fusion, "decoder": self.decoder, "heads": self.heads}
        return {**parts, **{name: part for name, part in others.items() if part is not None}}

    def parameters_by_module(self) -> dict[str, dict[str, nn.Parameter]]:
        """Module name -> parameter name -> parameter. A parameter that two modules share counts for the first."""
        names = {id(parameter): name for name, parameter in self.named_parameters()}
        seen: set[int] = set()
        grouped: dict[str, dict[str, nn.Parameter]] = {}
        for part, module in self.modules_by_name().items():
            own = [parameter for parameter in module.parameters() if id(parameter) not in seen]
            seen.update(id(parameter) for parameter in own)
            grouped[part] = {names[id(parameter)]: parameter for parameter in own}
        return grouped

    def encode(self, batch: InputBatch) -> dict[str, Features]:
        """Source -> tokens (B, N, D) and their mask, for every source that has an encoder.

        Raises:
            ConfigError: the batch lacks what an encoder reads.
            PluginError: an encoder gives another shape than its contract says.
        """
        return self._encode(batch, None)[0]

    def _encode(self, batch: InputBatch, masks: Tensor | None) -> tuple[dict[str, Features], Tensor | None]:
        """As ``encode``, and what ``_image`` makes of masks."""
        read = {"text": self._text, "knowledge": self._knowledge}
        found: dict[str, Features] = {}
        shares = None
        for source in self.encoders:
            if source == "image":
                found[source], shares = self._image(batch, masks)
            else:
                found[source] = read[source](batch)
        return found, shares

    def _image(self, batch: InputBatch, masks: Tensor | None = None) -> tuple[Features, Tensor | None]:
        """Tokens of the real films, at their places: (B, V * N, D); and, of masks (B, V, H, W) that were moved as the films
        were, the share of lung at each token: (B, V, h, w)."""
        mask, view_ids = _given(batch.view_mask, "views"), _given(batch.view_ids, "views")
        # None where every study has all its views: nothing to pick out and put back then.
        real = None if bool(mask.all()) else mask.flatten().nonzero().squeeze(1)
        films = batch.image_tokens if batch.image_tokens is not None else _given(batch.pixel_values, "films")
        films, flat_ids = films.flatten(0, 1), view_ids.flatten()
        lungs = None if masks is None else masks.flatten(0, 1)
        if real is not None:
            films, flat_ids = films.index_select(0, real), flat_ids.index_select(0, real)
            lungs = None if lungs is None else lungs.index_select(0, real)
        tokens, lungs = (films, lungs) if batch.image_tokens is not None else self._film_tokens(films, lungs)
        shares = None if lungs is None else _shares(lungs, tokens.shape[1])
        tokens = tokens + self.view_embedding(flat_ids)[:, None]
        if real is not None:
            tokens = tokens.new_zeros(mask.numel(), *tokens.shape[1:]).index_copy(0, real, tokens)
            if shares is not None:
                shares = shares.new_full((mask.numel(), *shares.shape[1:]), math.nan).index_copy(0, real, shares)
        studies, length = len(mask), tokens.shape[1]
        image = Features(
            hidden_states=tokens.reshape(studies, -1, tokens.shape[2]),
            mask=mask.repeat_interleave(length, dim=1),
            view_ids=view_ids.repeat_interleave(length, dim=1),
        )
        return image, None if shares is None else shares.reshape(*mask.shape, *shares.shape[1:])

    def film_tokens(self, pixels: Tensor) -> Tensor:
        """uint8 (n, C, H, W), one film each, to tokens (n, N, D) before anything is added to them.

        Raises:
            PluginError: the image encoder gives another shape than its contract says.
        """
        return self._film_tokens(pixels, None)[0]

    def _film_tokens(self, pixels: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As ``film_tokens``, with masks (n, H, W) moved as the films are."""
        module = self.encoders["image"]
        encoder = cast(ImageEncoder, module)
        with _graph_unless_frozen(module):
            if masks is not None and self.training and self.augment:
                films, masks = _moved(module, pixels, masks)
            else:
                films = encoder.transform(pixels, self.training and self.augment)
            tokens = encoder(films)
        return _checked("image encoder", module, tokens, len(pixels), encoder.num_features), masks

    def _text(self, batch: InputBatch) -> Features:
        return self._read(self.encoders["text"], _given(batch.context_ids, "context"), _given(batch.context_mask, "context"))

    def _read(self, module: nn.Module, ids: Tensor, mask: Tensor) -> Features:
        encoder = cast(TextEncoder, module)
        with _graph_unless_frozen(module):
            tokens = encoder(ids, mask)
        return Features(_checked("text encoder", module, tokens, len(ids), encoder.num_features, mask.shape[1]), mask)

    def _knowledge(self, batch: InputBatch) -> Features:
        module = self.encoders["knowledge"]
        encoder = cast(KnowledgeEncoder, module)
        active = _given(batch.active_nodes, "active nodes")
        with _graph_unless_frozen(module):
            tokens = encoder(active)
        tokens = _checked("knowledge encoder", module, tokens, len(active), encoder.num_features, active.shape[1])
        # Where no node is active the encoder puts its null token first.
        none = ~active.any(dim=1, keepdim=True)
        return Features(tokens, torch.cat([active[:, :1] | none, active[:, 1:]], dim=1))

    def memory(self, batch: InputBatch) -> Features:
        """What the decoder reads of these studies: (B, M, hidden_size), and their active nodes where the batch has them."""
        return self._fuse(self.encode(batch), batch.active_nodes)

    def _fuse(self, features: Mapping[str, Features], active_nodes: Tensor | None) -> Features:
        if active_nodes is None and getattr(self.decoder, "cues", None) is not None:
            raise ConfigError("the decoder's cues read active nodes, but the study set has none")
        memory = cast(Fusion, self.fusion)(features)
        name = f"fusion {type(self.fusion).__name__}"
        if not isinstance(memory, Features):
            raise PluginError(f"{name} gave no Features", got=type(memory).__name__)
        rows, width = len(next(iter(features.values())).mask), cast(Decoder, self.decoder).hidden_size
        hidden = _checked("fusion", cast(nn.Module, self.fusion), memory.hidden_states, rows, width)
        mask = memory.mask
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != hidden.shape[:2]:
            got = f"{mask.dtype} {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
            raise PluginError(f"{name}: wrong mask", got=got, expected=f"bool {tuple(hidden.shape[:2])}")
        if not mask.any(dim=1).all():
            raise PluginError(f"{name} masks every token of a study", expected="at least one True a row of the mask")
        return memory if active_nodes is None else replace(memory, active_nodes=active_nodes)

    def embed(self, batch: InputBatch, targets: TargetBatch) -> tuple[Tensor | None, Tensor | None]:
        """Embeddings of films and of reports, each (B, E) of length 1; None without the heads for them."""
        heads = _given(self.heads, "embeddings")
        image = heads.embed_image(self._image(batch)[0]) if "image" in self.encoders else None
        return image, None if heads.report_projection is None else heads.embed_report(self._report(targets))

    def _report(self, targets: TargetBatch) -> Features:
        """The report in the tokens of the encoder that reads reports: for losses and scoring alone."""
        reader = self.encoders["text"] if self.report_encoder is None else self.report_encoder
        return self._read(reader, _given(targets.report_ids, "reports"), _given(targets.report_mask, "reports"))

    def _wants(self, *names: str) -> bool:
        return self.needs is None or any(name in self.needs for name in names)

    def forward(self, batch: InputBatch, targets: TargetBatch, sampling: Sampling | None = None) -> Output:
        """Everything the losses read. Logits are (B, T, vocabulary), ``logits[:, t]`` for ``input_ids[:, t + 1]``.

        ``sampling``: how reports are drawn, for a loss that reads ``samples``.
        """
        learning = self.heads is not None and self.heads.masks is not None
        features, shares = self._encode(batch, targets.masks if learning else None)
        memory, logits = (None, None)
        if self.fusion is not None and self._wants("logits", "memory"):
            memory, logits = self._decode(features, batch, targets)
        output = Output(
            features,
            memory,
            logits,
            lm_logits=self._alone(targets) if self.decoder is not None and self._wants("lm_logits") else None,
            samples=self._samples(batch, sampling) if sampling is not None else None,
        )
        return output if self.heads is None else self._headed(self.heads, output, batch, targets, shares)

    def _headed(self, heads: Heads, output: Output, batch: InputBatch, targets: TargetBatch, shares: Tensor | None) -> Output:
        """The output with what heads make of features."""
        image = output.features.get("image")
        report = self._report(targets) if heads.reads_reports else None
        matching = nodes = entities = masked_logits = masked_ids = None
        if heads.matching is not None and image is not None and report is not None:
            matching = heads.matching(image, report)
        if heads.nodes is not None and image is not None:
            nodes = heads.nodes(self._all_nodes(batch), image)
        if heads.entities is not None and report is not None:
            entities = heads.entities(self._all_nodes(batch), report)
        if heads.words is not None:
            masked_logits, masked_ids = self._guessed(heads.words, batch, targets)
        return replace(
            output,
            image_embedding=heads.embed_image(image) if image is not None else None,
            report_embedding=heads.embed_report(report) if report is not None else None,
            logit_scale=heads.scale(),
            finding_logits=heads.finding_logits(image) if image is not None else None,
            mask_logits=heads.mask_logits(image, shares) if image is not None else None,
            masks=shares,
            matching_logits=matching,
            node_logits=nodes,
            entity_logits=entities,
            masked_logits=masked_logits,
            masked_ids=masked_ids,
        )

    def _all_nodes(self, batch: InputBatch) -> Tensor:
        """Every node of the graph (G, D), whatever a study has active."""
        everything = torch.ones_like(_given(batch.active_nodes, "active nodes")[:1])
        tokens: Tensor = self.encoders["knowledge"](everything)
        return tokens[0]

    def _guessed(self, words: nn.Module, batch: InputBatch, targets: TargetBatch) -> tuple[Tensor, Tensor]:
        """Contexts, and reports where the text encoder reads them, with words masked: what stands there by the encoder, and what
        stood there."""
        encoder = self.encoders["text"]
        texts = [(_given(batch.context_ids, "context"), _given(batch.context_mask, "context"))]
        if self.report_encoder is None and targets.report_ids is not None and targets.report_mask is not None:
            texts.append((targets.report_ids, targets.report_mask))
        logits, stood = [], []
        for ids, mask in texts:
            masked, chosen = mask_words(ids, mask, cast(TextEncoder, encoder).tokenizer)
            tokens = self._read(encoder, masked, mask).hidden_states
            logits.append(words(tokens[chosen]))
            stood.append(ids[chosen])
        return torch.cat(logits), torch.cat(stood)

    def _alone(self, targets: TargetBatch) -> Tensor:
        """Logits of the decoder that is told nothing: its memory is one empty token."""
        ids, mask = _given(targets.input_ids, "reports"), _given(targets.attention_mask, "reports")
        decoder = cast(Decoder, self.decoder)
        nothing = torch.zeros(len(ids), 1, decoder.hidden_size, device=ids.device)
        return self._logits(Features(nothing, torch.ones(len(ids), 1, dtype=torch.bool, device=ids.device)), ids, mask)

    def _samples(self, batch: InputBatch, sampling: Sampling) -> Samples:
        """Drawn in evaluation mode: with dropout, what is drawn and what is made likelier were two policies."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            return sample(cast(Decoder, self.decoder), self.memory(batch), sampling)
        finally:
            for module, training in modes:
                module.training = training

    def _decode(self, features: Mapping[str, Features], batch: InputBatch, targets: TargetBatch) -> tuple[Features, Tensor]:
        memory = self._fuse(features, batch.active_nodes)
        ids, mask = _given(targets.input_ids, "reports"), _given(targets.attention_mask, "reports")
        return memory, self._logits(memory, ids, mask)

    def _logits(self, memory: Features, ids: Tensor, mask: Tensor) -> Tensor:
        logits = cast(Decoder, self.decoder)(memory, ids, mask)
        studies, length = ids.shape
        if not isinstance(logits, Tensor) or logits.dim() != 3 or logits.shape[:2] != (studies, length):
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            name = type(self.decoder).__name__
            raise PluginError(f"decoder {name}: wrong logits", got=got, expected=f"({studies}, {length}, vocabulary)")
        return logits


def _moved(module: nn.Module, pixels: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Films augmented, and their masks moved as they are."""
    transform = getattr(module, "transform_with", None)
    name = f"image encoder {type(module).__name__}"
    if transform is None:
        hint = "set `augment: false` for the stage"
        raise ConfigError(f"{name} does not move masks with the films that it augments", expected="transform_with", hint=hint)
    films, moved = transform(pixels, masks, True)
    if not isinstance(moved, Tensor) or moved.shape != masks.shape or moved.dtype != masks.dtype:
        got = f"{moved.dtype} {tuple(moved.shape)}" if isinstance(moved, Tensor) else type(moved).__name__
        raise PluginError(f"{name}: transform_with gave wrong masks", got=got, expected=f"{masks.dtype} {tuple(masks.shape)}")
    return films, moved


def _shares(masks: Tensor, tokens: int) -> Tensor:
    """Masks uint8 (n, H, W) to the share of lung at each token, (n, h, w) with h * w tokens in the form of the film; NaN all over
    a film on which no lungs were found.

    Raises:
        ConfigError: so many tokens are no such grid.
    """
    height, width = masks.shape[1:]
    rows = round(math.sqrt(tokens * height / width))
    columns = tokens // max(rows, 1)
    if rows * columns != tokens or rows * width != columns * height:
        raise ConfigError(
            "masks are learnt at the tokens of the image encoder, and they are no grid over the film",
            got=f"{tokens} tokens for a film of {height} x {width}",
            expected="rows x columns in the form of the film, one token a place",
            hint="another image encoder, or a stage without masks",
        )
    shares = F.adaptive_avg_pool2d((masks == 1).float()[:, None], (rows, columns))[:, 0]
    return shares.masked_fill((masks == UNKNOWN).flatten(1).any(dim=1)[:, None, None], math.nan)


def _graph_unless_frozen(module: nn.Module) -> AbstractContextManager[object]:
    """A frozen encoder reads no trained tensor, so its graph would only cost memory and time."""
    return torch.no_grad() if is_frozen(module) else nullcontext()


def _given(value: _Given | None, what: str) -> _Given:
    if value is None:
        raise ConfigError(f"the model reads {what}, but the study set has none")
    return value


def _checked(kind: str, module: nn.Module, tokens: object, rows: int, width: int, length: int | None = None) -> Tensor:
    if isinstance(tokens, Tensor) and tokens.dim() == 3:
        expected = (rows, tokens.shape[1] if length is None else length, width)
        if tokens.shape == expected:
            return tokens
    got = tuple(tokens.shape) if isinstance(tokens, Tensor) else type(tokens).__name__
    raise PluginError(
        f"{kind} {type(module).__name__}: wrong tokens",
        got=got,
        expected=f"({rows}, {'N' if length is None else length}, {width})",
    )
