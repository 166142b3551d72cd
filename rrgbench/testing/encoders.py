"""What every image encoder and every text encoder must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from rrgbench.testing.building import (
    assert_bfloat16,
    assert_close,
    assert_deterministic,
    assert_fields,
    assert_finite,
    assert_learns,
    assert_survives_saving,
    built,
    close,
    component_name,
    module_of,
    saying,
)
from rrgbench.testing.scoring import assert_tokenizer
from rrgbench.testing.toys import CONTEXTS, REPORTS


def toy_films() -> dict[str, Image.Image]:
    """One film in each of Pillow's modes that occur, none of them square."""
    random = np.random.default_rng(0)
    films = {}
    for mode in ("L", "RGB", "P", "RGBA", "LA", "1", "I", "F", "I;16"):
        grey = random.integers(0, 256, (40, 52), dtype=np.uint8)
        deep = Image.fromarray(grey.astype(np.uint16) * 16)
        films[mode] = deep if mode == "I;16" else Image.fromarray(grey).convert(mode)
    return films


class ImageEncoderContract:
    """Subclass it and set ``component`` (and ``options``: the smallest model that it knows)."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}

    def _made(self) -> Any:
        component = type(self).component
        made = module_of(component, built(component, {}, self.options))
        assert_fields(made, {"num_features": int})
        return made.eval()

    def _prepared(self, encoder: Any, image: Image.Image) -> Tensor:
        with saying(f"{self._name}.prepare of a film of mode {image.mode}"):
            pixels = encoder.prepare(image)
        right = isinstance(pixels, Tensor) and pixels.dtype == torch.uint8 and pixels.ndim == 3
        assert right, f"{self._name}.prepare gives no uint8 (C, H, W) for a film of mode {image.mode}"
        assert isinstance(pixels, Tensor)
        return pixels

    def _films(self, encoder: Any) -> Tensor:
        return torch.stack([self._prepared(encoder, film) for film in list(toy_films().values())[:3]])

    def _transformed(self, encoder: Any, films: Tensor, train: bool = False) -> Tensor:
        with saying(f"{self._name}.transform"):
            pixels = encoder.transform(films, train)
        right = isinstance(pixels, Tensor) and pixels.is_floating_point() and pixels.ndim == 4 and len(pixels) == len(films)
        assert right, f"{self._name}.transform gives no float (B, C, H, W)"
        assert isinstance(pixels, Tensor)
        return pixels

    def _tokens(self, encoder: Any, pixels: Tensor) -> Tensor:
        with saying(f"the forward pass of {self._name}"):
            tokens = encoder(pixels)
        shape = tuple(tokens.shape)
        right = len(shape) == 3 and shape[0] == len(pixels) and shape[1] > 0 and shape[2] == encoder.num_features
        assert right, f"{self._name} gives tokens of shape {shape}, not ({len(pixels)}, N, {encoder.num_features})"
        assert isinstance(tokens, Tensor)
        return tokens

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def test_films_of_every_mode_are_prepared_to_one_shape(self) -> None:
        """uint8 (C, H, W), the same for every film, whatever its size and its mode; twice the same."""
        encoder = self._made()
        films = {mode: self._prepared(encoder, film) for mode, film in toy_films().items()}
        films["portrait"] = self._prepared(encoder, Image.new("L", (30, 70), 128))
        shapes = {mode: tuple(film.shape) for mode, film in films.items()}
        assert len(set(shapes.values())) == 1, f"{self._name}.prepare gives films of several shapes: {shapes}"
        for mode, film in toy_films().items():
            again = self._prepared(encoder, film)
            assert torch.equal(films[mode], again), f"{self._name}.prepare is not deterministic (mode {mode})"
        flat = [mode for mode in ("L", "RGB", "I", "I;16", "F") if len(torch.bincount(films[mode].flatten()).nonzero()) < 8]
        assert not flat, f"{self._name}.prepare makes films of the modes {flat} flat: their grey levels are lost"

    def test_evaluation_transforms_are_deterministic_and_film_by_film(self) -> None:
        """Without ``train`` there is no augmentation, and no film sees another."""
        encoder = self._made()
        films = self._films(encoder)
        whole = self._transformed(encoder, films)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            again = self._transformed(encoder, films)
        assert torch.equal(whole, again), f"{self._name}.transform is not deterministic outside of training"
        alone = torch.cat([self._transformed(encoder, film.unsqueeze(0)) for film in films])
        assert_close(whole, alone, f"{self._name}.transform mixes the films of a batch")

    def test_training_transforms_follow_the_seed_of_torch(self) -> None:
        """The same seed gives the same augmentation, in the same shape; the films are left as they were."""
        encoder = self._made()
        films = self._films(encoder)
        kept, results = films.clone(), []
        for _ in range(2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(5)
                results.append(self._transformed(encoder, films, train=True))
        assert torch.equal(*results), f"{self._name}.transform draws from elsewhere than torch's generator"
        shape = self._transformed(encoder, films).shape
        assert results[0].shape == shape, f"{self._name}.transform gives another shape in training"
        assert_finite(results[0], f"what {self._name}.transform gives in training")
        assert torch.equal(films, kept), f"{self._name}.transform writes into the films"

    def test_masks_follow_their_films(self) -> None:
        """Where the encoder moves masks: films are those of ``transform``, masks keep shape and values, and outside of training
        they stay as they are. A lit square and its mask end in one place."""
        encoder = self._made()
        if not hasattr(encoder, "transform_with"):
            return
        channels, height, width = self._films(encoder).shape[1:]
        masks = torch.zeros(16, height, width, dtype=torch.uint8)
        masks[:, height // 2 : height * 5 // 8, width // 4 : width // 2] = 1
        films = masks[:, None].repeat(1, channels, 1, 1) * 255
        for train in (False, True):
            results = []
            for given in (None, masks):
                with torch.random.fork_rng(devices=[]), saying(f"{self._name}.transform_with"):
                    torch.manual_seed(5)
                    results.append(
                        encoder.transform_with(films, given, train) if given is not None else encoder.transform(films, train)
                    )
            found, moved = results[1]
            assert torch.equal(results[0], found), f"{self._name} draws otherwise where masks are moved along"
            right = moved.shape == masks.shape and moved.dtype == masks.dtype and set(moved.unique().tolist()) <= {0, 1}
            assert right, f"{self._name}.transform_with changes shape, type or values of masks"
            assert train or torch.equal(moved, masks), f"{self._name} moves masks outside of training"
            for film, mask in zip(found, moved):
                lit, dark = film[:, mask == 1].float(), film[:, mask == 0].float()
                assert lit.median() > dark.median(), f"{self._name} moves a mask elsewhere than its film"
                level = (lit.median() + dark.median()) / 2
                apart = ((film[0] > level) != (mask == 1)).float().mean().item()
                assert apart < 0.05, f"{self._name} moves a mask elsewhere than its film: {apart:.0%} of it differ"

    @torch.no_grad()
    def test_tokens_are_of_their_film_alone(self) -> None:
        """(B, N, num_features); neither the order nor the size of the batch matters; another film has other tokens."""
        encoder = self._made()
        pixels = self._transformed(encoder, self._films(encoder))
        whole = self._tokens(encoder, pixels)
        assert_finite(whole, f"the tokens of {self._name}")
        alone = torch.cat([self._tokens(encoder, film.unsqueeze(0)) for film in pixels.flip(0)]).flip(0)
        assert_close(whole, alone, f"{self._name} mixes the films of a batch")
        other = self._tokens(encoder, pixels.flip(3) * 1.5)
        assert not close(whole, other), f"{self._name} does not read the film: another one gives the same tokens"

    def test_every_parameter_learns(self) -> None:
        """A gradient reaches every parameter; what belongs to a classifier has to go."""
        encoder = self._made()
        pixels = self._transformed(encoder, self._films(encoder))
        assert_learns(encoder, lambda: self._tokens(encoder, pixels), self._name)

    def test_evaluation_is_deterministic(self) -> None:
        """No dropout, no random numbers, no state between calls."""
        encoder = self._made()
        pixels = self._transformed(encoder, self._films(encoder))
        assert_deterministic(encoder, lambda: self._tokens(encoder, pixels), self._name)

    def test_it_survives_a_state_dict(self) -> None:
        """Through safetensors, into an encoder with other weights."""
        encoder, again = self._made(), self._made()
        pixels = self._transformed(encoder, self._films(encoder))
        assert_survives_saving(encoder, again, lambda module: self._tokens(module, pixels), self._name)

    def test_it_runs_in_bfloat16(self) -> None:
        """Under autocast, which is how it is trained on a GPU."""
        encoder = self._made()
        pixels = self._transformed(encoder, self._films(encoder))
        with torch.no_grad():
            shape = self._tokens(encoder, pixels).shape
        assert_bfloat16(lambda: self._tokens(encoder, pixels), shape, self._name)


class TextEncoderContract:
    """Subclass it and set ``component`` (and ``options``: a small model)."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}

    def _made(self) -> Any:
        component = type(self).component
        values = {"train_reports": REPORTS, "train_contexts": CONTEXTS}
        made = module_of(component, built(component, values, self.options))
        assert_fields(made, {"num_features": int, "tokenizer": object})
        return made.eval()

    def _contexts(self, encoder: Any) -> tuple[Tensor, Tensor]:
        """Three contexts, the last of them empty."""
        encoded = [encoder.tokenizer.encode(context) for context in (CONTEXTS[3], CONTEXTS[0], "")]
        ids = torch.full((3, max(map(len, encoded)) + 1), encoder.tokenizer.pad_token_id)
        for row, context in zip(ids, encoded):
            row[: len(context)] = torch.tensor(context)
        return ids, torch.arange(ids.shape[1]) < torch.tensor([len(context) for context in encoded]).unsqueeze(1)

    def _tokens(self, encoder: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
        with saying(f"the forward pass of {self._name}"):
            tokens = encoder(ids, mask)
        expected = (*ids.shape, encoder.num_features)
        assert tuple(tokens.shape) == expected, f"{self._name} gives tokens of shape {tuple(tokens.shape)}, not {expected}"
        assert isinstance(tokens, Tensor)
        return tokens

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def test_its_tokenizer_is_one(self) -> None:
        """All that ``TokenizerContract`` asks, and an empty context still has a token."""
        tokenizer = self._made().tokenizer
        assert_tokenizer(tokenizer, f"the tokenizer of {self._name}")
        assert len(tokenizer.encode("")) > 0, f"the tokenizer of {self._name} gives no token for an empty context"

    @torch.no_grad()
    def test_padding_does_not_matter(self) -> None:
        """Neither what stands in it nor how long it is."""
        encoder = self._made()
        ids, mask = self._contexts(encoder)
        before = self._tokens(encoder, ids, mask)[mask]
        assert_finite(before, f"the tokens of {self._name}")
        other = torch.where(mask, ids, (ids + 3) % encoder.tokenizer.vocab_size)
        after = self._tokens(encoder, other, mask)[mask]
        assert_close(before, after, f"{self._name} reads the padding: its mask is ignored")
        more = torch.cat([ids, ids.new_full((3, 4), encoder.tokenizer.pad_token_id)], dim=1)
        wide = torch.cat([mask, mask.new_zeros(3, 4)], dim=1)
        after = self._tokens(encoder, more, wide)[wide]
        assert_close(before, after, f"{self._name} counts the padding: more of it changes the tokens")

    @torch.no_grad()
    def test_no_context_reads_another(self) -> None:
        """Order and size of the batch do not matter, and other words give other tokens."""
        encoder = self._made()
        ids, mask = self._contexts(encoder)
        before = self._tokens(encoder, ids, mask)
        for order in ([2, 0, 1], [1]):
            index = torch.tensor(order)
            after = self._tokens(encoder, ids[index], mask[index])[mask[index]]
            assert_close(before[index][mask[index]], after, f"{self._name} mixes the contexts of a batch")
        assert not close(before[0, :3], before[1, :3]), f"{self._name} does not read the words: others give the same tokens"

    def test_it_reads_contexts_of_the_full_length(self) -> None:
        """``max_length`` tokens of its own tokenizer."""
        encoder = self._made()
        ids = torch.tensor([encoder.tokenizer.encode("chest pain " * encoder.tokenizer.max_length)])
        self._tokens(encoder, ids, torch.ones_like(ids, dtype=torch.bool))

    def test_every_parameter_learns(self) -> None:
        """A gradient reaches every parameter; a pooler has to go."""
        encoder = self._made()
        ids, mask = self._contexts(encoder)
        assert_learns(encoder, lambda: self._tokens(encoder, ids, mask)[mask], self._name)

    def test_evaluation_is_deterministic(self) -> None:
        """No dropout, no random numbers, no state between calls."""
        encoder = self._made()
        ids, mask = self._contexts(encoder)
        assert_deterministic(encoder, lambda: self._tokens(encoder, ids, mask)[mask], self._name)

    def test_it_survives_a_state_dict(self) -> None:
        """Through safetensors, into an encoder with other weights."""
        encoder, again = self._made(), self._made()
        ids, mask = self._contexts(encoder)
        assert_survives_saving(encoder, again, lambda module: self._tokens(module, ids, mask)[mask], self._name)

    def test_it_runs_in_bfloat16(self) -> None:
        """Under autocast, which is how it is trained on a GPU."""
        encoder = self._made()
        ids, mask = self._contexts(encoder)
        assert_bfloat16(lambda: self._tokens(encoder, ids, mask), (*ids.shape, encoder.num_features), self._name)
