"""Lung fields by torchxrayvision's PSPNet, which was trained on ChestX-Det (Lian et al., 2021)."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from rrgbench import ConfigError
from rrgbench.films import eight_bits

FILE = "pspnet_chestxray_best_model_4.pth"
URL = f"https://github.com/mlmed/torchxrayvision/releases/download/v1/{FILE}"
CACHE = Path("~/.torchxrayvision/models_data")
"""Where torchxrayvision itself keeps its weights."""

_LUNGS = ("Left Lung", "Right Lung")
_SIDE = 512


class TorchXRayVision:
    """Both lungs as torchxrayvision's PSPNet sees them, the heart's shadow left out. Nothing is downloaded.

    A film is padded to a square with black and read at 512 x 512 pixels: seconds a film on a CPU, once for all cells. The
    package and the weights are looked for when the first film is read.

    Args:
        weights: the file ``pspnet_chestxray_best_model_4.pth``, which then counts in ids by its content; left out, it is
            looked for in torchxrayvision's cache, and is taken to be the one that was released.
        certainty: a place is lung from this probability on.
        smallest: where the lungs take up less than this share of the film, none were found.
    """

    def __init__(
        self,
        *,
        weights: Path | None = None,
        certainty: Annotated[float, Field(gt=0, lt=1)] = 0.5,
        smallest: Annotated[float, Field(ge=0, lt=1)] = 0.03,
    ) -> None:
        self._file = (weights or CACHE / FILE).expanduser()
        self.certainty, self.smallest = certainty, smallest

    @cached_property
    def identity(self) -> str:
        """Name, settings, and the digest of the weights.

        Raises:
            ConfigError: there are no weights.
        """
        with self._weights().open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"torchxrayvision PSPNet {digest[:16]}, certainty {self.certainty:g}, smallest {self.smallest:g}"

    def __call__(self, image: Image.Image) -> NDArray[np.bool_]:
        """bool (H, W) for a film of that size, all False where no lungs are found.

        Raises:
            ConfigError: the package or the weights are missing, or they do not belong together.
        """
        import torch

        net = self._net
        film = eight_bits(image).convert("L")
        square = Image.new("L", (max(film.size), max(film.size)))
        square.paste(film)
        # In the package's own range, -1024 to 1024.
        pixels = torch.from_numpy(np.array(square.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), dtype=np.float32))
        with torch.inference_mode(), contextlib.redirect_stdout(io.StringIO()):
            found = net(pixels[None, None] * (2048 / 255) - 1024).sigmoid()[0]
        best = found[[net.targets.index(name) for name in _LUNGS]].amax(dim=0)
        grown = Image.fromarray(best.numpy()).resize(square.size, Image.Resampling.BILINEAR)
        mask: NDArray[np.bool_] = np.asarray(grown)[: film.height, : film.width] >= self.certainty
        return mask if mask.mean() >= self.smallest else np.zeros_like(mask)

    @cached_property
    def _net(self) -> Any:
        """The network in evaluation mode. The package prints to standard output, which is not its to print to."""
        try:
            networks = importlib.import_module("torchxrayvision.baseline_models.chestx_det")
        except ImportError as error:
            raise ConfigError(
                "segmenter `torchxrayvision`: the package torchxrayvision cannot be imported",
                got=error,
                hint='pip install "rrgbench[segmentation]"',
            ) from error
        path = self._weights()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return networks.PSPNet(cache_dir=str(path.parent)).eval()
        except Exception as error:
            # Whatever a file that is not these weights makes of torch's reader; it reads tensors only, no code.
            raise ConfigError(
                f"segmenter `torchxrayvision`: {path} does not hold the weights of its PSPNet",
                got=f"{type(error).__name__}: {error}",
                hint=f"fetch it again from {URL}",
            ) from error

    def _weights(self) -> Path:
        if self._file.name != FILE or not self._file.is_file():
            raise ConfigError(
                "segmenter `torchxrayvision`: the weights of its PSPNet",
                got=f"no file {self._file}" if self._file.name == FILE else self._file.name,
                expected=f"a file called {FILE}",
                hint=f"fetch {URL} and put it into {CACHE}, or name the file by the option `weights`",
            )
        return self._file
