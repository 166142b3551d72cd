"""Data sets become content-addressed files: one a split and side, so that correcting a test reference changes nothing else.

The question wing never imports a data set: a child process reads it once, checks it and writes the store's ``data`` folder;
afterwards the sizes and times of its source files say whether it changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from rrgbench import errors
from rrgbench.catalogue import Component
from rrgbench.catalogue.building import build
from rrgbench.errors import ConfigError, DataError, ManyErrors, RRGBenchError, StoreError, collect
from rrgbench.identity import canonical_json, digest, file_digest
from rrgbench.interfaces import Dataset
from rrgbench.rules import check_dataset, check_split
from rrgbench.store import Store, full_disk_is_an_error, write_atomically
from rrgbench.types import SPLITS, Inputs, License, Split, Targets

_CHILD_SECONDS = 3600


class SplitData(BaseModel):
    """One split: how many studies and subjects, and the digests of its two sides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    studies: int
    subjects: int
    images: int
    inputs: str
    targets: str
    labels: tuple[str, ...]


class DataRecord(BaseModel):
    """A data set as it was read: its splits, where its images are, and the state of its files then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    license: License
    folder: str
    splits: dict[Split, SplitData]
    state: str
    files: tuple[str, ...]


def _state(files: Sequence[str]) -> str:
    """The sizes and times of files; a missing one counts too."""

    def stat(path: str) -> list[Any]:
        try:
            found = os.stat(path)  # noqa: PTH116 - 6,000 files: twice as fast as Path
        except OSError:
            return [path]
        return [path, found.st_size, found.st_mtime_ns]

    return digest([stat(path) for path in files])


def data_path(store: Store, content: str) -> Path:
    """The file of one side of one split."""
    return store.root / "data" / f"{content}.jsonl"


def find_root(component: Component, root: Path | None) -> Path | None:
    """The folder of a data set that asks for one.

    Raises:
        ConfigError: it is not given, or not there.
    """
    if "root" not in component.values:
        return None
    hint = "set RRGBENCH_DATA to the folder that holds it, or give --root (for an experiment: --set base.dataset.root=FOLDER)"
    if root is None:
        base = os.environ.get("RRGBENCH_DATA", "").strip()
        if not base:
            raise ConfigError(f"data set {component.name}: no folder given", hint=hint)
        root = Path(base).expanduser() / component.name
    if not root.is_dir():
        raise ConfigError(f"data set {component.name}: no such folder", got=root.absolute(), hint=hint)
    return root.absolute()


def read_dataset(store: Store, component: Component, root: Path | None) -> DataRecord:
    """The record of a data set; read in a child process where it is new or its files changed.

    Raises:
        ConfigError, DataError, StoreError: as the data set says.
    """
    folder = find_root(component, root)
    key = digest([component.identity(), str(folder)])
    path = store.root / "data" / "index" / f"{key}.json"
    try:
        record = DataRecord.model_validate_json(path.read_bytes())
        contents = [content for split in record.splits.values() for content in (split.inputs, split.targets)]
        if record.state == _state(record.files) and all(data_path(store, content).is_file() for content in contents):
            return record
    except (OSError, ValidationError):
        pass
    _read_in_child(store, component, folder, path)
    try:
        return DataRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreError(f"{path} cannot be read", got=error, hint="run the same command again; it is made again") from error


def need_splits(record: DataRecord, dataset: str, splits: Iterable[Split], what: str) -> None:
    """Check that a data set has these splits, which ``what`` needs.

    Raises:
        ConfigError: one is missing.
    """
    missing = [split for split in splits if split not in record.splits]
    if missing:
        got, hint = f"splits {', '.join(record.splits)}", "the data set's options may name a file for it"
        raise ConfigError(f"data set {dataset} has no {' and no '.join(missing)} split", got=got, expected=what, hint=hint)


def _read_in_child(store: Store, component: Component, root: Path | None, path: Path) -> None:
    request = {"component": component.request(), "root": str(root) if root else None, "store": str(store.root), "out": str(path)}
    with tempfile.TemporaryDirectory() as folder:
        error_file = Path(folder) / "error.json"
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "rrgbench.data", str(error_file)],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_CHILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            got = f"nothing within {_CHILD_SECONDS} s"
            raise DataError(f"data set {component.name} could not be read", got=got) from error
        if done.returncode == 0:
            return
        try:
            told = json.loads(error_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
            raise DataError(f"data set {component.name} could not be read", got=last) from None
    collect(errors_from(told))


def materialise(request: Mapping[str, Any]) -> DataRecord:
    """In the child: build the data set, check it, and only then write both sides of each split.

    Raises:
        DataError, StoreError: what is wrong, naming the study.
    """
    began = time.time_ns()
    store = Store(Path(request["store"]))
    cache = store.root / "data" / "made" / digest(request["component"])[:24]
    values = {"root": Path(request["root"]) if request["root"] else None, "cache_dir": cache}
    dataset: Dataset = build(request["component"], values.__getitem__)
    name = request["component"]["$component"]["name"]
    if dataset.license not in get_args(License):
        raise DataError(f"data set {name}: license", got=repr(dataset.license), expected=" or ".join(get_args(License)))
    splits = [split for split in SPLITS if split in getattr(dataset, "splits", SPLITS)]
    if "test" not in splits:
        raise DataError(f"data set {name}: splits", got=", ".join(splits) or "none", expected="test among them")
    sides = {split: (tuple(dataset.inputs(split)), tuple(dataset.targets(split))) for split in splits}
    check_dataset(name, sides)
    images = {path for inputs, _ in sides.values() for item in inputs for path in item.images}
    # Names of images stand in the files, relative to this folder: where root and store lie to each other must not count.
    folder = Path(request["root"]) if request["root"] and not all(path.is_relative_to(cache) for path in images) else cache
    digests = _image_digests(name, images)
    files = tuple(sorted(str(path.absolute()) for path in images.union(dataset.sources())))
    # A file that changed while it was read is read again next time; those that the data set makes have just been made.
    given = [path for path in files if not Path(path).is_relative_to(cache)]
    state = "" if any(_changed_since(path, began) for path in given) else _state(files)
    with full_disk_is_an_error(store.root):
        written = {split: _write_split(store, folder, *both, digests) for split, both in sides.items()}
    return DataRecord(license=dataset.license, folder=str(folder), splits=written, state=state, files=files)


def _changed_since(path: str, began: int) -> bool:
    try:
        return Path(path).stat().st_mtime_ns >= began
    except OSError:
        return True


def _image_digests(name: str, images: Iterable[Path]) -> dict[Path, str]:
    try:
        return {path: file_digest(path) for path in images}
    except OSError as error:
        raise DataError(f"data set {name}: image {error.filename} cannot be read", got=error.strerror) from error


def _write_split(
    store: Store, folder: Path, inputs: Sequence[Inputs], targets: Sequence[Targets], digests: Mapping[Path, str]
) -> SplitData:
    asked = [_asked(item, folder, digests) for item in inputs]
    judged = [
        {"study_id": target.study_id, "report": target.report, "labels": None if target.labels is None else dict(target.labels)}
        for target in targets
    ]
    return SplitData(
        studies=len(inputs),
        subjects=len({item.subject_id for item in inputs}),
        images=sum(len(item.images) for item in inputs),
        inputs=_write_lines(store, asked),
        targets=_write_lines(store, judged),
        labels=tuple(sorted({name for target in targets for name in target.labels or ()})),
    )


def _asked(item: Inputs, folder: Path, digests: Mapping[Path, str]) -> dict[str, Any]:
    return {
        "study_id": item.study_id,
        "subject_id": item.subject_id,
        "images": [os.path.relpath(path, folder) for path in item.images],
        "image_digests": [digests[path] for path in item.images],
        "views": list(item.views),
        "context": item.context,
        "prior_ids": list(item.prior_ids),
    }


def record_inputs(store: Store, study: Inputs) -> str:
    """One study as the inputs side of a split of its own, its films below the root folder; the digest of that.

    Raises:
        DataError, StoreError: a film cannot be read; the store cannot be written.
    """
    digests = _image_digests("given films", study.images)
    return _write_lines(store, [_asked(study, Path(os.sep), digests)])


def record_references(store: Store, name: str, references: Mapping[str, str]) -> DataRecord:
    """References alone as a record: a test split without films or context, each study a subject of its own.

    What rights there are in them nobody knows, so that they are treated as credentialed.

    Raises:
        DataError, StoreError: an empty reference; the store cannot be written.
    """
    inputs = tuple(Inputs(study, study, (), ()) for study in references)
    targets = tuple(Targets(study, report) for study, report in references.items())
    check_split(name, inputs, targets)
    split = _write_split(store, store.root, inputs, targets, {})
    return DataRecord(license="credentialed", folder=str(store.root), splits={"test": split}, state="", files=())


def _write_lines(store: Store, lines: Sequence[Mapping[str, Any]]) -> str:
    """Write lines under the digest of their content."""
    text = "".join(canonical_json(line) + "\n" for line in lines).encode()
    content = hashlib.sha256(text).hexdigest()
    write_atomically(data_path(store, content), text)
    return content


def _lines(store: Store, content: str) -> Iterator[dict[str, Any]]:
    path = data_path(store, content)
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise StoreError(f"{path} cannot be read", hint="run the same command again; it is made again") from error
    for line in text.split("\n")[:-1]:
        yield json.loads(line)


def load_inputs(store: Store, content: str, folder: Path) -> tuple[Inputs, ...]:
    """The inputs side of a split; ``folder`` is where its images are.

    Raises:
        StoreError: the file is gone.
    """
    return tuple(
        Inputs(
            study_id=line["study_id"],
            subject_id=line["subject_id"],
            images=tuple(folder / name for name in line["images"]),
            views=tuple(line["views"]),
            context=line["context"],
            prior_ids=tuple(line["prior_ids"]),
        )
        for line in _lines(store, content)
    )


def load_targets(store: Store, content: str) -> tuple[Targets, ...]:
    """The targets side of a split.

    Raises:
        StoreError: the file is gone.
    """
    return tuple(Targets(line["study_id"], line["report"], line["labels"]) for line in _lines(store, content))


def errors_told(error: RRGBenchError) -> list[dict[str, str | None]]:
    """Mistakes as data, so that they keep their class on the way to the parent."""
    if isinstance(error, ManyErrors):
        return [one for inner in error.errors for one in errors_told(inner)]
    parts = {name: None if (v := getattr(error, name)) is None else str(v) for name in ("what", "got", "expected", "hint")}
    return [{"class": type(error).__name__, **parts}]


def errors_from(told: Sequence[Mapping[str, Any]]) -> list[RRGBenchError]:
    """The mistakes that ``errors_told`` made data of."""
    found: list[RRGBenchError] = []
    for one in told:
        kind = getattr(errors, one["class"], DataError)
        found.append(kind(one["what"], got=one["got"], expected=one["expected"], hint=one["hint"]))
    return found


def main(error_file: str) -> int:
    """The child: read a request from standard input; mistakes go to a file."""
    request = json.loads(sys.stdin.read())
    try:
        record = materialise(request)
        write_atomically(Path(request["out"]), record.model_dump_json().encode())
    except RRGBenchError as error:
        Path(error_file).write_text(json.dumps(errors_told(error)), encoding="utf-8")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
