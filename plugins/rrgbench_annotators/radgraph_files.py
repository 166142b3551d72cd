"""Where RadGraph's weights and its base model are, what tells them from others, and how the package is handed them.

Torch-free. Nothing is fetched unless it is asked for, and nothing is written beside the user's files.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from rrgbench import ConfigError

REPOSITORY = "StanfordAIMI/RRG_scorers"
"""Where the package's archives are on the hub."""

_SMALL, _LARGE, _MEMBERS = 1 << 24, 1 << 33, 1000
"""Bytes of a small file and of the weights, and members of an archive, above which something is not what it should be."""

_BASE_FILES = ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "merges.txt")
_TOKENIZERS = ("vocab.txt", "tokenizer.json")
_BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError)


def package_version() -> str:
    """The version of the installed package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.metadata.version("radgraph")
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError("annotator radgraph needs the package radgraph", hint='pip install "rrgbench[radgraph]"') from error


@dataclass(frozen=True)
class Files:
    """``weights`` holds config.json, weights.th and vocabulary/; ``base`` the base model's config.json and tokenizer."""

    weights: Path
    base: Path

    def digests(self) -> tuple[str, str]:
        """SHA-256, 16 digits each: of the weights; of what gives them their meaning (labels, settings, word pieces)."""
        meaning = hashlib.sha256()
        for path in sorted((self.weights / "vocabulary").glob("*.txt")):
            meaning.update(f"{path.name} {_digest(path)}\n".encode())
        words = next(self.base / name for name in _TOKENIZERS if (self.base / name).is_file())
        meaning.update(f"{words.name} {_digest(words)}\n".encode())
        settings = [_without_names(_json(self.weights / "config.json")), _json(self.base / "config.json").get("model_type")]
        tokenizer = _json(self.base / "tokenizer_config.json") if (self.base / "tokenizer_config.json").is_file() else {}
        settings.append({key: tokenizer[key] for key in ("do_lower_case", "strip_accents") if key in tokenizer})
        meaning.update(json.dumps(settings, sort_keys=True).encode())
        return _digest(self.weights / "weights.th")[:16], meaning.hexdigest()[:16]

    @contextlib.contextmanager
    def laid_out(self, model: str) -> Iterator[Path]:
        """A folder for the package's ``model_cache_dir``, gone afterwards: it writes a lock beside the vocabulary, and reads the
        base model from where the configuration says.

        A base model's own code is left out with the key that names it: it is never run, and nobody is asked whether it may be.
        """
        with tempfile.TemporaryDirectory(prefix="rrgbench-radgraph-") as name:
            folder, base = Path(name) / model, Path(name) / "base"
            shutil.copytree(self.weights / "vocabulary", folder / "vocabulary", ignore=shutil.ignore_patterns(".*"))
            with _or_copied(self.weights / "weights.th", folder / "weights.th"):
                (folder / "weights.th").symlink_to((self.weights / "weights.th").resolve())
            config = _json(self.weights / "config.json")
            for settings in _bert_settings(config):
                settings["model_name"] = str(base)
            (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
            base.mkdir()
            for file in (self.base / part for part in _BASE_FILES):
                if file.name in ("config.json", "tokenizer_config.json") and file.is_file():
                    told = {key: value for key, value in _json(file).items() if key != "auto_map"}
                    (base / file.name).write_text(json.dumps(told), encoding="utf-8")
                elif file.is_file():
                    shutil.copyfile(file, base / file.name)
            yield Path(name)


@contextlib.contextmanager
def _or_copied(source: Path, target: Path) -> Iterator[None]:
    """A link where the system has such; else a copy."""
    try:
        yield
    except OSError:
        shutil.copyfile(source, target)


def find_files(model: str, weights: Path | None, bert: Path | None, *, download: bool) -> Files:
    """The files of a model.

    Args:
        model: its name in the package.
        weights: a folder, or an archive; the package's own cache where it is None.
        bert: the base model's folder; the hub's cache where it is None.
        download: fetch what is in neither cache.

    Raises:
        ConfigError: something is missing, or not what it should be.
    """
    folder = _weights_folder(model, weights, download)
    if not (folder / "vocabulary" / f"{model}__ner_labels.txt").is_file():
        there = ", ".join(sorted(path.name for path in (folder / "vocabulary").glob("*ner_labels.txt"))[:3]) or "no labels"
        expected = f"vocabulary/{model}__ner_labels.txt"
        raise ConfigError(f"annotator radgraph: {folder} is not of the model {model}", got=there, expected=expected)
    names = sorted({str(settings.get("model_name")) for settings in _bert_settings(_json(folder / "config.json"))})
    if len(names) != 1:
        raise ConfigError(f"annotator radgraph: {folder / 'config.json'}", got=f"base models {', '.join(names)}", expected="one")
    return Files(folder, _base_folder(names[0], bert, download))


def package_cache() -> Path:
    """Where the package itself keeps extracted weights: by its version, so that another version finds none."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        from appdirs import user_cache_dir

        base = Path(user_cache_dir("radgraph")).parent
    except ImportError:  # a later version of the package may do without
        pass
    return base / "radgraph" / package_version()


def _weights_folder(model: str, weights: Path | None, download: bool) -> Path:
    archive = f"{model}.tar.gz"
    if weights is not None and weights.is_file():
        return _extracted(weights)
    place = package_cache() if weights is None else weights
    for folder in (place / model, place):
        if (folder / "weights.th").is_file() and (folder / "config.json").is_file() and (folder / "vocabulary").is_dir():
            return folder
    if weights is not None and (weights / archive).is_file():
        return _extracted(weights / archive)
    if weights is None and download:
        return _extracted(_fetched(archive))
    hint = f"get {archive} from https://huggingface.co/{REPOSITORY} and name it by the option weights (or `download: true`)"
    expected = f"{model}/ with config.json, weights.th and vocabulary/"
    raise ConfigError(f"annotator radgraph: no weights of {model}", got=f"none in {place}", expected=expected, hint=hint)


def _fetched(archive: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo_id=REPOSITORY, filename=archive))
    except (OSError, ValueError) as error:
        hint = "get it by another way and name it by the option weights"
        raise ConfigError(f"annotator radgraph: cannot download {archive} from {REPOSITORY}", got=error, hint=hint) from error


def _base_folder(name: str, bert: Path | None, download: bool) -> Path:
    if bert is not None:
        folder: Path | None = bert
    elif Path(name).is_dir():
        folder = Path(name)
    else:
        folder = _cached_base(name, download)
    if folder is not None and (folder / "config.json").is_file() and any((folder / words).is_file() for words in _TOKENIZERS):
        return folder
    hint = f"get these files of https://huggingface.co/{name} and name their folder by the option bert (or `download: true`)"
    got = "not in the hub's cache" if folder is None else f"{folder}"
    expected = "config.json and vocab.txt or tokenizer.json"
    raise ConfigError(f"annotator radgraph: no base model {name}", got=got, expected=expected, hint=hint)


def _cached_base(name: str, download: bool) -> Path | None:
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    try:
        if download:
            return Path(snapshot_download(name, allow_patterns=list(_BASE_FILES)))
        found = try_to_load_from_cache(name, "config.json")
    except (OSError, ValueError) as error:
        hint = "get its config.json and tokenizer by another way and name their folder by the option bert"
        raise ConfigError(f"annotator radgraph: cannot get the base model {name}", got=error, hint=hint) from error
    return Path(found).parent if isinstance(found, str) else None


def _extracted(archive: Path) -> Path:
    """An archive's three parts in the cache, by its content; extracted once, whole or not at all."""
    base = os.environ.get("RRGBENCH_CACHE")
    own = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rrgbench"
    final = own / "radgraph" / _digest(archive)[:32]
    if final.is_dir():
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=final.parent))
    except OSError as error:
        hint = (
            "set RRGBENCH_CACHE to a folder that can be written, or extract the archive and name the folder by the option weights"
        )
        raise ConfigError(f"annotator radgraph: cannot write {final.parent}", got=error.strerror, hint=hint) from error
    try:
        _extract(archive, draft)
        with contextlib.suppress(FileExistsError):
            draft.rename(final)
    except OSError as error:
        if not final.is_dir():
            raise ConfigError(f"annotator radgraph: {archive} cannot be extracted", got=error.strerror or error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return final


def _extract(archive: Path, folder: Path) -> None:
    """The parts that the package reads; whatever else an archive holds is left in it.

    Raises:
        ConfigError: it is no such archive, or one that means harm.
    """
    found: set[str] = set()
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for number, member in enumerate(tar):
                name = _part(member)
                if number >= _MEMBERS or (name and (name in found or member.size > (_LARGE if name == "weights.th" else _SMALL))):
                    raise ConfigError(
                        f"annotator radgraph: {archive}", got=f"too much at {member.name[:80]}", hint="is it damaged?"
                    )
                source = tar.extractfile(member) if name else None
                if source is not None:
                    found.add(name)
                    (folder / name).parent.mkdir(exist_ok=True)
                    with source, (folder / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
            if tar.fileobj is not None:
                tar.fileobj.read(1 << 20)  # what fills it up: its checksum is compared at the very end
    except _BROKEN as error:
        expected = "a whole archive of the package, <model>.tar.gz"
        raise ConfigError(f"annotator radgraph: {archive} cannot be read", got=error, expected=expected) from error
    if not found >= {"config.json", "weights.th"} or not any(name.startswith("vocabulary/") for name in found):
        got = ", ".join(sorted(found)[:5]) or "none of them"
        raise ConfigError(f"annotator radgraph: {archive}", got=got, expected="config.json, weights.th and vocabulary/ in it")


def _part(member: tarfile.TarInfo) -> str:
    """Which part a member is; empty where it is none.

    Raises:
        ConfigError: a link, a device, or a name that leads out of the archive.
    """
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
        what = f"annotator radgraph: an archive of weights holds {member.name[:80]}"
        raise ConfigError(what, expected="plain files inside", hint="use another archive")
    parts = path.parts if len(path.parts) < 2 or path.parts[-2] == "vocabulary" else path.parts[-1:]
    name = "/".join(("vocabulary", path.name) if len(parts) > 1 else parts)
    known = name in ("config.json", "weights.th") or (name.startswith("vocabulary/") and name.endswith(".txt"))
    return name if member.isfile() and known and len(path.parts) <= 3 else ""


@cache
def _digest_of(path: Path, size: int, changed: int, node: int) -> str:
    """Made once for as long as the file is as it was: weights are large."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(path: Path) -> str:
    status = path.stat()
    return _digest_of(path, status.st_size, status.st_mtime_ns, status.st_ino)


def _json(path: Path) -> dict[str, Any]:
    """A small JSON object.

    Raises:
        ConfigError: it is none.
    """
    try:
        if path.stat().st_size > _SMALL:
            raise ValueError("it is too large")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"annotator radgraph: {path} cannot be read", got=error, expected="a JSON object") from error
    return found


def _bert_settings(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The two places of an archive's configuration that name the base model: of the tokenizer and of the encoder.

    Raises:
        ConfigError: they are not there.
    """
    try:
        found = [
            config["dataset_reader"]["token_indexers"]["bert"],
            config["model"]["embedder"]["token_embedders"]["bert"],
        ]
        if all(isinstance(settings["model_name"], str) for settings in found):
            return found
    except (KeyError, TypeError):
        pass
    raise ConfigError("annotator radgraph: config.json of the weights names no base model", hint="use the package's archive")


def _without_names(config: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration decides what the model gives."""
    reader, model = config["dataset_reader"], dict(config["model"])
    model.pop("embedder", None)
    lengths = [settings.get("max_length") for settings in _bert_settings(config)]
    return {"model": model, "max_span_width": reader.get("max_span_width"), "max_length": lengths}
