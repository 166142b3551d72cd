"""Films to tokens with any model of timm (Wightman 2019)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import timm
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from rrgbench import ConfigError, Segmenter
from rrgbench_encoders.augmenting import Augmentation
from rrgbench_encoders.preparing import Filter, Lungs, Padding, Preparation, Resize
from rrgbench_encoders.weights import load_backbone


class Timm(nn.Module):
    """A timm model without its classifier: (B, C, H, W) to (B, N, num_features), the tokens of its last feature map.

    A token is a place of the film, row by row from the top left. Class, register and distillation tokens are left out:
    they have no place, and what they know comes from the others. The parts that ``forward_features`` does not read
    (classifier heads and their norms) are taken out, so that every parameter learns.

    Args:
        model: a name that ``timm.list_models()`` knows, with or without a tag.
        pretrained: take timm's weights from the model hub (or from its cache).
        checkpoint: a safetensors file of this model, in the names of timm or torchvision, under any prefix; the classifier in it
            is ignored, a first convolution over 3 channels is summed for 1 (and 1 shared out over 3), tables of positions
            are interpolated. A file that lacks any part of the backbone is refused.
        size: height and width of the prepared film, in pixels.
        channels: 1 (grey, which films are) or 3.
        mean, std: what is taken from pixels between 0 and 1, and what they are divided by, where the weights want others than
            the model's own: one number, or one a channel.
        resize: how a film becomes a square: ``squash`` it, ``pad`` it (nothing is lost), or ``crop`` its middle.
        padding: what ``pad`` adds: ``black``, or the film's ``edge`` drawn out.
        filter: how pixels are averaged when a film is made smaller.
        segmenter: finds the lungs before a film is fitted; where it finds none, as on lateral films, the film stays whole.
        lungs: what is done with lungs that are found: ``crop`` the film to them, or ``mask`` all else black.
        crop: in training, a crop at random from the film with its edges drawn out by this share of ``size``: a shift.
        rotation: in training, a film is turned by up to so many degrees, either way.
        jitter: in training, contrast and brightness change by up to this share, at random for every film.
        noise: in training, the standard deviation of normal noise, as a share of the range from black to white.
        horizontal_flip: in training, every second film is mirrored. Off, because a mirrored chest is another patient: the heart
            lies on the wrong side (situs inversus), and "left" in the report becomes false.

    Raises:
        ConfigError: the model is unknown, cannot read films of this size, or its weights cannot be had or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        model: str = "resnet10t",
        pretrained: bool = False,
        checkpoint: Path | None = None,
        size: Annotated[int, Field(ge=16, le=2048)] = 128,
        channels: Literal[1, 3] = 1,
        mean: float | tuple[float, ...] | None = None,
        std: Annotated[float, Field(gt=0)] | tuple[Annotated[float, Field(gt=0)], ...] | None = None,
        resize: Resize = "squash",
        padding: Padding = "black",
        filter: Filter = "bilinear",  # noqa: A002 - the word that Pillow and timm use
        segmenter: Segmenter | None = None,
        lungs: Lungs = "crop",
        crop: Annotated[float, Field(ge=0, lt=0.5)] = 0.0625,
        rotation: Annotated[float, Field(ge=0, le=180)] = 0.0,
        jitter: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        noise: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        horizontal_flip: bool = False,
    ) -> None:
        super().__init__()
        if pretrained and checkpoint is not None:
            raise ConfigError("image encoder `timm`: `pretrained` and `checkpoint` are two answers to one question")
        # Plain objects, not modules: a segmenter's weights are neither trained nor saved with the encoder.
        self._preparation = Preparation(size, channels, resize, padding, filter, segmenter, lungs)
        self._augmentation = Augmentation(crop, rotation, horizontal_flip, jitter, noise)
        # Whoever makes the encoder may have switched gradients off; the head is found by means of them.
        with torch.inference_mode(False), torch.enable_grad():
            self.model = _create(model, pretrained, size, channels)
            _check_size(self.model, model, size)
            _cut_head(self.model, model, torch.zeros(1, channels, size, size))
        if checkpoint is not None:
            load_backbone(self.model, checkpoint, channels)
        self.num_features: int = self.model.num_features
        settings = timm.data.resolve_model_data_config(self.model)
        for name, given in (("mean", mean), ("std", std)):
            self.register_buffer(name, _by_channel(name, settings[name] if given is None else given, channels), persistent=False)

    def prepare(self, image: Image.Image) -> Tensor:
        """The film as uint8 (channels, size, size). More than 8 bits are spread over the film's own darkest to brightest."""
        return self._preparation(image)

    def transform(self, pixels: Tensor, train: bool) -> Tensor:
        """uint8 (B, C, H, W) to float (B, C, H, W), normalised as the model was trained; augmented where ``train``."""
        return self.transform_with(pixels, None, train)[0]

    def transform_with(self, pixels: Tensor, masks: Tensor | None, train: bool) -> tuple[Tensor, Tensor | None]:
        """As ``transform``, and masks (B, H, W) of the same films moved as they are; with the same draws as without masks."""
        if train:
            moved = self._augmentation.draw(len(pixels), pixels.shape[-1])
            pixels = moved.apply(pixels, smooth=True)
            masks = None if masks is None else moved.apply(masks[:, None], smooth=False)[:, 0]
        films = pixels.float() / 255.0
        if train:
            films = self._augmentation.tone(films)
        return (films - self.mean.to(films.device)) / self.std.to(films.device), masks

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(B, C, H, W) to (B, N, num_features)."""
        return _tokens(self.model, self.model.forward_features(pixel_values))


def _by_channel(name: str, given: float | Sequence[float], channels: int) -> Tensor:
    """One number a channel, (C, 1, 1); for grey films the mean of three."""
    numbers = torch.tensor([given] if isinstance(given, float) else list(given), dtype=torch.float32)
    if len(numbers) not in (1, 3):
        raise ConfigError(
            f"image encoder `timm`: option `{name}`", got=f"{len(numbers)} numbers", expected="1, or 3 of a model in colour"
        )
    return (numbers.mean(dim=0, keepdim=True) if channels == 1 else numbers.expand(3)).reshape(-1, 1, 1)


def _create(name: str, pretrained: bool, size: int, channels: int) -> Any:
    if not timm.is_model(name):
        near = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        raise ConfigError(
            "image encoder `timm`: option `model` is not a model of timm",
            got=name,
            hint=f"did you mean {', '.join(near)}?" if near else "timm.list_models() names them all",
        )
    settings = timm.get_pretrained_cfg(name, allow_unregistered=False)
    fixed = {"img_size": size} if settings is not None and settings.fixed_input_size else {}
    options = {"pretrained": pretrained, "in_chans": channels, "num_classes": 0, **fixed}
    try:
        try:
            return timm.create_model(name, global_pool="", **options)
        except AssertionError:  # models that are distilled insist on their own pool
            return timm.create_model(name, **options)
    except Exception as error:
        # A model's code may raise anything for a size; timm, the hub's client and the network add theirs.
        raise ConfigError(
            f"image encoder `timm`: the model {name} cannot be made"
            + (" with pretrained weights" if pretrained else f" for films of {size} x {size} pixels"),
            got=f"{type(error).__name__}: {error}",
            hint="without a network, give a safetensors file as `checkpoint`, or set `pretrained: false`"
            if pretrained
            else "another `size` or `model`",
        ) from error


def _check_size(model: Any, name: str, size: int) -> None:
    """A patch embedding leaves out, without a word, the pixels that do not fill a last patch."""
    embed = getattr(model, "patch_embed", None)
    if not isinstance(embed, timm.layers.PatchEmbed) or getattr(embed, "dynamic_img_pad", False):
        return
    patch = max(embed.patch_size)
    if rest := size % patch:
        raise ConfigError(
            f"image encoder `timm`: the model {name} cannot read a film of {size} x {size} pixels whole",
            got=f"size {size}",
            expected=f"a multiple of its patch of {patch}, such as {size - rest or patch} or {size - rest + patch}",
        )


def _tokens(model: Any, found: Tensor) -> Tensor:
    """Feature maps (B, D, H, W), (B, H, W, D) or tokens (B, prefix + N, D) to (B, N, D)."""
    if found.ndim == 4:
        last = getattr(model, "output_fmt", "") == "NHWC" or found.shape[1] != model.num_features
        return found.flatten(1, 2) if last else found.flatten(2).transpose(1, 2)
    return found[:, getattr(model, "num_prefix_tokens", 0) or 0 :]


def _cut_head(model: Any, name: str, film: Tensor) -> None:
    """Take out the children of which ``forward_features`` reads no parameter, and try the model on one film."""
    model.eval()
    named = [(key, parameter) for key, parameter in model.named_parameters() if parameter.requires_grad]
    try:
        tokens = _tokens(model, model.forward_features(film))
        shape = tuple(tokens.shape)
        gradients = torch.autograd.grad(tokens.sum(), [parameter for _, parameter in named], allow_unused=True)
    except Exception as error:
        # See above: the code of a thousand models, each with its own way to say that a film is too small.
        raise ConfigError(
            f"image encoder `timm`: the model {name} cannot read a film of {film.shape[-1]} x {film.shape[-1]} pixels",
            got=f"{type(error).__name__}: {error}",
            hint="another `size` or `model`",
        ) from error
    if len(shape) != 3 or shape[1] < 1 or shape[2] != model.num_features:
        raise ConfigError(
            f"image encoder `timm`: the model {name} gives no tokens",
            got=f"features of shape {shape}",
            expected=f"(1, N, {model.num_features})",
            hint="another `model`",
        )
    read = {key.split(".")[0] for (key, _), gradient in zip(named, gradients) if gradient is not None}
    for child in {key.split(".")[0]: None for key, _ in named}:
        if child not in read and isinstance(getattr(model, child), nn.Module):
            setattr(model, child, nn.Identity())
    model.train()
