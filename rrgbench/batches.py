"""Studies as tensors: films prepared once, text tokenised once, batches padded to their longest member."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rrgbench.errors import DataError, PluginError
from rrgbench.films import open_film
from rrgbench.interfaces import Segmenter, Tokenizer
from rrgbench.types import UNKNOWN, VIEWS, InputBatch, Inputs, TargetBatch, Targets

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
"""uint8 (n_images, C, H, W): the films of all studies, in order, as ``ImageEncoder.prepare`` made them."""

Masks = np.ndarray[Any, np.dtype[np.uint8]]
"""uint8 (n_images, H, W): 1 lung, 0 none, ``UNKNOWN`` all over a film on which no lungs were found."""

Tokens = np.ndarray[Any, np.dtype[np.float32]]
"""float32 (n_images, N, D): what a frozen image encoder made of the films of all studies, in order."""

Progress = Callable[[int, int, str], None]
"""Told how far something is: done, total, a note."""

Prepare = Callable[[Image.Image], Tensor]
"""``ImageEncoder.prepare``."""

_Labels = np.ndarray[Any, np.dtype[np.float32]]


def write_pixels(path: Path, inputs: Sequence[Inputs], prepare: Prepare, progress: Progress | None = None) -> tuple[int, ...]:
    """Prepare every film of every study and stream them into an ``.npy`` file of uint8 (n_images, C, H, W).

    Plain writes and not a memory map, so that a full disk is an error and not a dead process. Read the file with
    ``numpy.load(path, mmap_mode="r")``.

    Returns:
        The shape of what was written.

    Raises:
        DataError: a film is missing, damaged or not an image, or there is none at all.
        PluginError: ``prepare`` gave something else than uint8 (C, H, W), or two different shapes.
    """
    total = _count(inputs)
    shape: tuple[int, ...] = ()
    with path.open("wb") as file:
        for done, pixels in enumerate(_prepared(inputs, prepare)):
            if not shape:
                shape = (total, *pixels.shape)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(pixels.tobytes())
            if progress is not None:
                progress(done + 1, total, "films")
    return shape


def prepare_pixels(inputs: Sequence[Inputs], prepare: Prepare) -> Pixels:
    """As ``write_pixels``, in memory: uint8 (n_images, C, H, W)."""
    total = _count(inputs)
    films = _prepared(inputs, prepare)
    first = next(films)
    pixels = np.empty((total, *first.shape), dtype=np.uint8)
    pixels[0] = first
    for place, film in enumerate(films, start=1):
        pixels[place] = film
    return pixels


def write_masks(path: Path, films: Pixels, segmenter: Segmenter, progress: Progress | None = None) -> int:
    """Find the lungs on prepared films (n_images, C, H, W) and stream their ``Masks`` into an ``.npy`` file.

    Returns:
        On how many films lungs were found.

    Raises:
        DataError: on none; or the films are neither grey nor in colour.
        PluginError: the segmenter gave something else than bool (H, W).
    """
    count, channels, height, width = films.shape
    if channels not in (1, 3):
        raise DataError("lungs are found on films of 1 or 3 channels", got=channels, hint="another image encoder")
    found = 0
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, height, width)}
        np.lib.format.write_array_header_1_0(file, header)
        for place, film in enumerate(films):
            mask = segmenter(Image.fromarray(film[0] if channels == 1 else np.ascontiguousarray(film.transpose(1, 2, 0))))
            if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (height, width):
                got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
                raise PluginError(f"segmenter {type(segmenter).__name__}", got=got, expected=f"bool {(height, width)}")
            found += bool(mask.any())
            file.write((mask.astype(np.uint8) if mask.any() else np.full(mask.shape, UNKNOWN, np.uint8)).tobytes())
            if progress is not None:
                progress(place + 1, count, "films")
    if not found:
        got = f"lungs on none of {count} films"
        raise DataError("masks to learn", got=got, hint="another segmenter, larger films, or a stage without masks")
    return found


def _count(inputs: Sequence[Inputs]) -> int:
    total = sum(len(study.images) for study in inputs)
    if not total:
        raise DataError("no study has a film", hint="an image encoder needs a data set with images")
    return total


def _prepared(inputs: Sequence[Inputs], prepare: Prepare) -> Iterator[Pixels]:
    shape: torch.Size | None = None
    for study in inputs:
        for path in study.images:
            pixels = prepare(open_film(path, study.study_id))
            if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8 or pixels.dim() != 3:
                got = f"{pixels.dtype} {tuple(pixels.shape)}" if isinstance(pixels, Tensor) else type(pixels).__name__
                raise PluginError("prepare of the image encoder", got=got, expected="a tensor of uint8 (C, H, W)")
            if shape is not None and pixels.shape != shape:
                raise PluginError(
                    f"prepare of the image encoder: {path} has another shape than the films before it",
                    got=tuple(pixels.shape),
                    expected=tuple(shape),
                )
            shape = pixels.shape
            yield pixels.contiguous().numpy()


class _Ragged:
    """The token ids of all studies in one flat array."""

    def __init__(self, texts: Sequence[str], study_ids: Sequence[str], tokenizer: Tokenizer) -> None:
        self._pad = tokenizer.pad_token_id
        rows = [np.asarray(tokenizer.encode(text), dtype=np.int64) for text in texts]
        self._starts = np.cumsum([0, *(len(row) for row in rows)])
        self._flat = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
        for study_id, row in zip(study_ids, rows, strict=True):
            if not 0 < len(row) <= tokenizer.max_length or row.min() < 0 or row.max() >= tokenizer.vocab_size:
                raise PluginError(
                    f"tokenizer {type(tokenizer).__name__}: the ids of study {study_id}",
                    got=f"{len(row)} ids" + (f" from {row.min()} to {row.max()}" if len(row) else ""),
                    expected=f"1 to {tokenizer.max_length} ids under {tokenizer.vocab_size}",
                )

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """ids (B, T) int64 and mask (B, T) bool, padded to the longest of these studies."""
        rows = [self._flat[self._starts[index] : self._starts[index + 1]] for index in indices]
        lengths = np.array([len(row) for row in rows])
        mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
        ids = np.full(mask.shape, self._pad, dtype=np.int64)
        ids[mask] = np.concatenate(rows)
        return torch.from_numpy(ids), torch.from_numpy(mask)


class StudySet:
    """Studies that give batches of tensors. Generation is handed a set without ``targets``: it cannot give a ``TargetBatch``.

    Args:
        inputs: the studies.
        pixels: the films of all studies in order, uint8 (n_images, C, H, W), may be memory-mapped; None without image encoder.
        image_tokens: in place of pixels, what a frozen image encoder gave for them, float32 (n_images, N, D).
        context_tokenizer: the text encoder's tokenizer; None without text encoder.
        targets: the reports, in the order of ``inputs``.
        report_tokenizer: the tokenizer that the decoder writes in; None without decoder.
        report_encoder_tokenizer: the text encoder's tokenizer for ``report_ids``; None where nothing reads them.
        label_names: the findings of ``labels`` (B, K), in order.
        masks: the lungs on the films of all studies in order, uint8 (n_images, H, W); None where nothing learns them.
        active_nodes: bool (n, G), the knowledge graph's active nodes of each study; None where nothing reads them.
        report_nodes: bool (n, G), the nodes that each report states; None where no loss reads them.

    Raises:
        DataError: inputs, pixels and targets do not belong together; an unknown view; a study without a film.
        PluginError: a tokenizer gives ids that it says it cannot give.
    """

    def __init__(
        self,
        inputs: Sequence[Inputs],
        *,
        pixels: Pixels | None = None,
        image_tokens: Tokens | None = None,
        context_tokenizer: Tokenizer | None = None,
        targets: Sequence[Targets] | None = None,
        report_tokenizer: Tokenizer | None = None,
        report_encoder_tokenizer: Tokenizer | None = None,
        label_names: tuple[str, ...] = (),
        masks: Masks | None = None,
        active_nodes: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
        report_nodes: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
    ) -> None:
        self.study_ids = tuple(study.study_id for study in inputs)
        assert pixels is None or image_tokens is None, "films are given once"
        self._pixels = None if pixels is None else np.asarray(pixels)
        self._tokens = None if image_tokens is None else np.asarray(image_tokens)
        self._active_nodes = active_nodes
        self._report_nodes = report_nodes
        self._masks = None if masks is None else np.asarray(masks)
        self._context: _Ragged | None = None
        self._reports: _Ragged | None = None
        self._report_ids: _Ragged | None = None
        self._labels: _Labels | None = None
        if self._pixels is not None:
            self._index_films(inputs, self._pixels.dtype == np.uint8 and self._pixels.ndim == 4, self._pixels)
        if self._tokens is not None:
            self._index_films(inputs, self._tokens.dtype == np.float32 and self._tokens.ndim == 3, self._tokens)
        if context_tokenizer is not None:
            self._context = _Ragged([study.context for study in inputs], self.study_ids, context_tokenizer)
        if targets is not None:
            if tuple(target.study_id for target in targets) != self.study_ids:
                raise DataError("inputs and targets are not of the same studies in the same order")
            reports = [target.report for target in targets]
            if report_tokenizer is not None:
                self._reports = _Ragged(reports, self.study_ids, report_tokenizer)
            if report_encoder_tokenizer is not None:
                self._report_ids = _Ragged(reports, self.study_ids, report_encoder_tokenizer)
            if label_names:
                self._labels = _label_matrix(targets, label_names)
        self._words = None if targets is None else tuple(target.report for target in targets)
        films = self._tokens if self._pixels is None else self._pixels
        if self._masks is not None and (films is None or len(self._masks) != len(films)):
            raise DataError(
                "the masks are not those of the films", got=len(self._masks), expected=0 if films is None else len(films)
            )

    def _index_films(self, inputs: Sequence[Inputs], right: bool, films: Pixels | Tokens) -> None:
        counts = [len(study.images) for study in inputs]
        if not right or len(films) != sum(counts):
            expected = f"uint8 ({sum(counts)}, C, H, W), or float32 ({sum(counts)}, N, D)"
            raise DataError(
                "the prepared films are not those of the studies", got=f"{films.dtype} {films.shape}", expected=expected
            )
        self._films = np.cumsum([0, *counts])
        self._views = [np.array([_view_id(study, view) for view in study.views], dtype=np.int64) for study in inputs]
        for study, count, views in zip(inputs, counts, self._views, strict=True):
            if not count or len(views) != count:
                raise DataError(
                    f"study {study.study_id}", got=f"{count} films and {len(views)} views", expected="as many, at least 1"
                )

    def __len__(self) -> int:
        return len(self.study_ids)

    def inputs_batch(self, indices: Sequence[int]) -> InputBatch:
        """What a generator may see of these studies; padded to their most views and their longest context."""
        films: dict[str, Tensor] = {}
        if self._pixels is not None:
            films = {"pixel_values": self._films_of(indices, self._pixels), **self._view_batch(indices)}
        elif self._tokens is not None:
            films = {"image_tokens": self._films_of(indices, self._tokens), **self._view_batch(indices)}
        context_ids, context_mask = self._context.batch(indices) if self._context is not None else (None, None)
        return InputBatch(
            study_ids=tuple(self.study_ids[index] for index in indices),
            **films,
            context_ids=context_ids,
            context_mask=context_mask,
            active_nodes=None if self._active_nodes is None else torch.from_numpy(self._active_nodes[list(indices)]),
        )

    def _view_batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        mask = self._view_mask(indices)
        view_ids = np.zeros(mask.shape, dtype=np.int64)
        view_ids[mask] = np.concatenate([self._views[index] for index in indices])
        return {"view_mask": torch.from_numpy(mask), "view_ids": torch.from_numpy(view_ids)}

    def _view_mask(self, indices: Sequence[int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        counts = np.array([len(self._views[index]) for index in indices])
        mask: np.ndarray[Any, np.dtype[np.bool_]] = np.arange(counts.max(initial=0)) < counts[:, None]
        return mask

    def _films_of(self, indices: Sequence[int], films: Pixels | Tokens, padding: int = 0) -> Tensor:
        mask = self._view_mask(indices)
        rows = np.zeros(mask.shape, dtype=np.int64)
        rows[mask] = np.concatenate([np.arange(self._films[index], self._films[index + 1]) for index in indices])
        # Gathered straight into torch's memory: one copy, and aligned the same way in every process.
        kind = torch.uint8 if films.dtype == np.uint8 else torch.float32
        values = torch.empty((*mask.shape, *films.shape[1:]), dtype=kind)
        np.take(films, rows.ravel(), axis=0, out=values.numpy().reshape(-1, *films.shape[1:]), mode="clip")
        if not mask.all():
            values[torch.from_numpy(~mask)] = padding
        return values

    def targets_batch(self, indices: Sequence[int]) -> TargetBatch:
        """What these studies are judged by.

        Raises:
            DataError: the set was made without targets.
        """
        if self._words is None:
            raise DataError("this study set has no targets")
        input_ids, attention_mask = self._reports.batch(indices) if self._reports is not None else (None, None)
        report_ids, report_mask = self._report_ids.batch(indices) if self._report_ids is not None else (None, None)
        return TargetBatch(
            study_ids=tuple(self.study_ids[index] for index in indices),
            input_ids=input_ids,
            attention_mask=attention_mask,
            report_ids=report_ids,
            report_mask=report_mask,
            labels=None if self._labels is None else torch.from_numpy(self._labels[list(indices)]),
            report_nodes=None if self._report_nodes is None else torch.from_numpy(self._report_nodes[list(indices)]),
            masks=None if self._masks is None else self._films_of(indices, self._masks, UNKNOWN),
            reports=tuple(self._words[index] for index in indices),
        )


def _view_id(study: Inputs, view: str) -> int:
    if view not in VIEWS:
        raise DataError(f"study {study.study_id}: unknown view", got=view, expected=", ".join(VIEWS))
    return VIEWS.index(view)


def _label_matrix(targets: Sequence[Targets], names: tuple[str, ...]) -> _Labels:
    rows = [[(target.labels or {}).get(name, float("nan")) for name in names] for target in targets]
    return np.array(rows, dtype=np.float32).reshape(len(targets), len(names))
