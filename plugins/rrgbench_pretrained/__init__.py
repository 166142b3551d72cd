"""What encoders, decoders and tokenizers of the transformers library share: what is named, and whether it is all there.

No plugin: components import it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from rrgbench import ConfigError


def named(where: str, model: str | None, checkpoint: Path | None) -> tuple[str, str, dict[str, Any]]:
    """The option that names a model, its value, and what ``from_pretrained`` is told: no code of a repository, a folder without
    the network.

    Raises:
        ConfigError: both or neither are given, or a folder stands where a name on the hub should.
    """
    if (model is None) == (checkpoint is None):
        got = "neither" if model is None else "both"
        raise ConfigError(f"{where}: options `model` and `checkpoint`", got=got, expected="one of them")
    if checkpoint is not None:
        return "checkpoint", str(checkpoint), {"trust_remote_code": False, "local_files_only": True}
    assert model is not None
    if model.startswith(("/", ".", "~")) or Path(model).is_dir():
        hint = "name a folder by the option `checkpoint`, so that its content counts"
        raise ConfigError(f"{where}: option `model` is a name on the hub, not a folder", got=model, hint=hint)
    return "model", model, {"trust_remote_code": False, "local_files_only": False}


def check_whole(where: str, option: str, name: str, model: Any, missing: Collection[str]) -> None:
    """A loaded model has all of its weights from what was named.

    ``missing``: the tensors that were not there, as ``from_pretrained`` told.

    Raises:
        ConfigError: it is an adapter whose base lies elsewhere, or tensors were missing.
    """
    if getattr(model, "_hf_peft_config_loaded", False):
        got, hint = f"{name}, an adapter beside weights that lie elsewhere", "merge it (merge_and_unload), then save the model"
        raise ConfigError(f"{where}: option `{option}`", got=got, expected="a whole model", hint=hint)
    if missing:
        first = sorted(missing)
        raise ConfigError(
            f"{where}: option `{option}`: the weights are not the whole model",
            got=f"{name} without {', '.join(first[:2])}" + (f" and {len(first) - 2} more" if first[2:] else ""),
            expected=f"every tensor of {type(model).__name__}, under the names that save_pretrained gives them",
        )
