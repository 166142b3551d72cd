"""The kinds of component, as Protocols; tensor shapes live here. Letters are explained in ``rrgbench.types``.

A component is made by a factory: a class or a function. Its positional parameters are values of the platform, asked for
by name from the closed vocabulary ``VALUES``; its keyword-only parameters are the user's options, annotated, and their
signature is the schema. An option annotated with one of these Protocols is itself a choice of component.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from rrgbench.types import (
    Better,
    Cue,
    Download,
    Features,
    InputBatch,
    Inputs,
    License,
    Output,
    ReportGraph,
    Side,
    Split,
    TargetBatch,
    Targets,
    Texts,
)

if TYPE_CHECKING:
    import numpy
    from PIL.Image import Image
    from torch import Tensor, nn

VALUES: Mapping[str, str] = {
    "root": "the folder of the data set (a Path): option `root` of the experiment, else $RRGBENCH_DATA/<name>",
    "cache_dir": "a folder (a Path) that the platform owns and may empty, for a data set that makes its files",
    "train_reports": "the reports of the train split, in order (tuple of str)",
    "train_contexts": "the contexts of the train split, in order (tuple of str)",
    "train": "both sides of the train split (Examples)",
    "validate": "both sides of the validate split (Examples)",
    "protocol": "the scoring protocol of the experiment (ScoringProtocol)",
    "tokenizer": "the tokenizer of reports (Tokenizer)",
    "own_tokenizer": "the tokenizer that the decoder declares as its own (Tokenizer)",
    "graph": "the knowledge graph of the train split (KnowledgeGraph)",
    "dims": "source name -> width of its tokens (Mapping[str, int]); the sources are image, text, knowledge",
    "memory_dim": "the width of the memory that the decoder reads (int)",
    "module": "the module that the adapter changes (nn.Module)",
    "seed": "the seed of the run (int)",
}
"""The closed vocabulary of platform values that a factory may ask for."""


@runtime_checkable
class Dataset(Protocol):
    """Studies with films, context and reports, in the splits train, validate and test.

    ``sources()`` names the files outside the images that were read: they and the images are what the data set depends
    on. Making the object or calling its methods raises ``DataError`` where a file is not what it should be.

    A data set that leaves studies out says so in a method ``counts() -> Sequence[Count]``, one entry a rule, in the order in
    which they are applied; ``rrgbench data check`` prints it. It may be absent.

    A data set that lacks train or validate (a benchmark that publishes test alone) names those it has in an attribute
    ``splits``; it may be absent. Predictions can be scored on it; what needs the others says so.

    Two class attributes may be there too: ``downloads: ClassVar[tuple[Download, ...]]``, what ``rrgbench data download``
    fetches, and ``access: ClassVar[str]``, where one applies for the files and what layout is expected. Credentialed data is
    never fetched.
    """

    license: ClassVar[License]

    def inputs(self, split: Split) -> Sequence[Inputs]: ...

    def targets(self, split: Split) -> Sequence[Targets]: ...

    def sources(self) -> Sequence[Path]: ...


class ImageEncoder(Protocol):
    """Films to tokens. ``prepare`` is deterministic (its results are stored and shared by all cells), ``transform`` is not:
    it normalises and, in training, augments with torch's generator. Called with (B, C, H, W), gives (B, N, D).

    An encoder that moves films in training may have a method ``transform_with(pixels, masks, train)``: as ``transform``, with the
    same draws, and masks uint8 (B, H, W) moved as their films are. Without it, a stage that learns masks does not augment.
    """

    num_features: int

    def prepare(self, image: Image) -> Tensor:
        """uint8 (C, H, W), the same shape for every image."""
        ...

    def transform(self, pixels: Tensor, train: bool) -> Tensor:
        """uint8 (B, C, H, W) to float (B, C, H, W)."""
        ...

    def __call__(self, pixel_values: Tensor) -> Tensor: ...


class Segmenter(Protocol):
    """The lungs of a film of any mode and size: bool (H, W), True = lung. Deterministic. All False where it finds none, as on
    most lateral films: such a film is left whole, and no mask of it is learnt. ``identity`` is name, settings, weights digest."""

    identity: str

    def __call__(self, image: Image) -> numpy.ndarray[Any, numpy.dtype[numpy.bool_]]: ...


class Tokenizer(Protocol):
    """Text to ids and back. ``encode``: ``[bos, .., eos]``, at most ``max_length`` ids; ``decode`` leaves special ids out."""

    vocab_size: int
    bos_token_id: int
    eos_token_id: int
    pad_token_id: int
    max_length: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


class TextEncoder(Protocol):
    """Context to tokens: (B, S) ids and (B, S) bool mask to (B, S, D). Its own ``tokenizer`` reads the context."""

    num_features: int
    tokenizer: Tokenizer

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor: ...


class KnowledgeEncoder(Protocol):
    """Active nodes (B, G) to tokens (B, G, D); a null token where none is active."""

    num_features: int

    def __call__(self, active_nodes: Tensor) -> Tensor: ...


class Fusion(Protocol):
    """Any non-empty subset of {image, text, knowledge} to one memory (B, M, memory_dim). Asks for ``dims, memory_dim``."""

    def __call__(self, features: Mapping[str, Features]) -> Features: ...


class Cues(Protocol):
    """Active nodes (B, G) to what a decoder is told of them: the same in training and generation, and of each study from its own
    nodes alone. It may be an ``nn.Module``; then it is trained with the decoder."""

    def __call__(self, active_nodes: Tensor) -> Cue: ...


class Decoder(Protocol):
    """Writes the report from the memory, whose width is ``hidden_size``.

    Called with memory, input_ids (B, T), attention_mask (B, T) bool: logits (B, T, vocabulary), causal.
    ``step`` takes ids (B, 1) and the cache of the step before (None at first) and gives logits (B, vocabulary) and a new cache:
    nested tuples, lists and dicts of tensors whose first dimension is B, so that beam search can reorder it.
    An option ``cues: Cues | None = None``, kept as an attribute of that name, is told ``memory.active_nodes``; logits are of the
    report's tokens alone, whatever stands before them. Where there are no active nodes nothing is told.
    ``own_tokenizer`` names the tokenizer component that belongs to it, in the words of an experiment, ``$option`` standing
    for the decoder's option of that name.
    """

    own_tokenizer: ClassVar[Mapping[str, Any]]
    hidden_size: int

    def __call__(self, memory: Features, input_ids: Tensor, attention_mask: Tensor) -> Tensor: ...

    def step(self, input_ids: Tensor, memory: Features, cache: Any) -> tuple[Tensor, Any]: ...


class Adapter(Protocol):
    """Changes how a module trains. Its factory asks for ``module``; called, it gives the module to train instead.

    ``trains`` says whether anything of the module is trained then. An adapter that can be taken out again has ``merges = True``
    and a method ``merge() -> nn.Module``: the module with the names of its state as they were, what was learnt folded into its
    weights, everything trained. Without it, a later stage that trains the module goes on under the same adapter.
    """

    trains: ClassVar[bool]

    def __call__(self) -> nn.Module: ...


class Loss(Protocol):
    """Output and targets to a scalar. ``needs`` says what it reads: ``logits``, ``memory``, ``image_embedding``,
    ``report_embedding``, ``finding_logits``, ``labels``, ``mask_logits``, ``masks``, ``matching_logits``, ``node_logits``,
    ``entity_logits``, ``report_nodes``, ``masked_logits``, ``lm_logits``, ``samples``, ``reports``, or ``features.<source>``
    (see ``Output`` and ``TargetBatch``). What a stage's losses need decides which parts of the model it holds; a cell without a
    source that a loss needs drops the loss, and the plan shows it.

    A loss that reads ``samples`` has an attribute ``sampling`` (``Sampling``) that says how they are drawn. One that has more to
    tell than its value has a method ``told() -> Mapping[str, float]`` about the last batch."""

    needs: ClassVar[frozenset[str]]

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor: ...


class Annotator(Protocol):
    """Reports to graphs in RadGraph's schema. ``identity`` is name, version and weights digest.

    Making the object is cheap; weights are read when they are needed. In a step its graphs are kept in the store's memo and
    not made twice, unless it has ``memo = False`` (it is as fast itself). It may have a method ``normal_form(text) -> str``:
    texts with the same normal form have the same graph, so that the memo knows them as one.
    """

    identity: str

    def __call__(self, reports: Sequence[str]) -> Sequence[ReportGraph]: ...


class ScoringProtocol(Protocol):
    """What is done to a text before it is scored. ``changes_references`` says whether references are not scored verbatim."""

    changes_references: ClassVar[bool]

    def prepare(self, text: str, side: Side) -> str: ...


class Metric(Protocol):
    """Scores in two steps, so that intervals are free: one row of statistics a report, then a closing formula over any resample.

    ``values`` names everything that ``aggregate`` gives and says which way is better; the first is the headline.
    ``resampled`` is False where a resample has no meaning (unique outputs): such values carry no interval.
    ``needs``: of ``texts, annotations, labels, embeddings, train_reports``. ``signature`` names implementation and settings.
    """

    values: ClassVar[Mapping[str, Better]]
    needs: ClassVar[frozenset[str]]
    resampled: ClassVar[bool]

    def score(self, texts: Texts) -> numpy.ndarray[Any, numpy.dtype[numpy.float64]]:
        """(n reports, statistics) float64."""
        ...

    def aggregate(self, statistics: numpy.ndarray[Any, numpy.dtype[numpy.float64]]) -> Mapping[str, float]: ...

    def signature(self) -> str: ...


class Floor(Protocol):
    """A generator that needs no training: it asks for what it needs of train and validate. ``draws``: it depends on the seed."""

    draws: ClassVar[bool]

    def generate(self, inputs: Sequence[Inputs]) -> Sequence[str]: ...


class Generator(Protocol):
    """What an explainer is given of a trained model: it writes reports for a batch of inputs."""

    def __call__(self, batch: InputBatch) -> Sequence[str]: ...


class Explainer(Protocol):
    """Attribution of a span of a report over pixels and tokens."""

    def __call__(self, model: Generator, inputs: Inputs, span: tuple[int, int]) -> Mapping[str, Tensor]: ...


@dataclass(frozen=True)
class Event:
    """What a worker tells of a step, passed on by its executor.

    ``progress`` (payload: done, total, note), ``epoch`` (epoch, scores), and at the end one of ``finished``,
    ``failed`` (error, mistake, traceback), ``busy`` (somebody else works on it), ``died`` (note: the worker is gone).
    """

    what: str
    step_id: str
    payload: Mapping[str, Any]


class Executor(Protocol):
    """Runs ready steps, each as a request (a JSON object) for ``rrgbench exec-step``. Its factory takes options only.

    ``slots`` is how many steps may run at once. ``submit`` never blocks; ``events`` waits up to ``timeout`` seconds.
    ``close`` ends everything it started. It may have ``ranks``: how many processes train a step together.
    """

    slots: int

    def submit(self, step_id: str, request: Mapping[str, Any]) -> None: ...

    def events(self, timeout: float) -> Iterator[Event]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Kind:
    """One kind of component: its Protocol, the platform values it may ask for, and the class attributes a plan must know."""

    name: str
    protocol: type
    values: frozenset[str]
    attributes: tuple[str, ...] = ()
    optional: Mapping[str, Any] = field(default_factory=dict)
    """Class attributes that may be absent, with their types."""

    @property
    def hook(self) -> str:
        """The name of the hook through which plugins offer this kind."""
        return f"rrgbench_{self.name}"


def _kind(name: str, protocol: type, values: str = "", attributes: str = "", optional: Mapping[str, Any] | None = None) -> Kind:
    return Kind(name, protocol, frozenset(values.split()), tuple(attributes.split()), optional or {})


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind("datasets", Dataset, "root cache_dir", "license", {"downloads": tuple[Download, ...], "access": str}),
        _kind("image_encoders", ImageEncoder, ""),
        _kind("text_encoders", TextEncoder, "train_reports train_contexts"),
        _kind("knowledge_encoders", KnowledgeEncoder, "graph"),
        _kind("fusions", Fusion, "dims memory_dim"),
        _kind("tokenizers", Tokenizer, "train_reports own_tokenizer"),
        _kind("decoders", Decoder, "tokenizer graph", "own_tokenizer"),
        _kind("cues", Cues, "tokenizer graph"),
        _kind("adapters", Adapter, "module", "trains", {"merges": bool}),
        _kind("losses", Loss, "tokenizer", "needs"),
        _kind("annotators", Annotator, ""),
        _kind("segmenters", Segmenter, ""),
        _kind("protocols", ScoringProtocol, "train_reports", "changes_references"),
        _kind("metrics", Metric, "train_reports", "values needs resampled"),
        _kind("floors", Floor, "train validate train_reports protocol seed", "draws"),
        _kind("explainers", Explainer, ""),
        _kind("executors", Executor, ""),
    )
}
"""Every kind of component, by name."""

SOURCES: tuple[str, ...] = ("image", "text", "knowledge")
"""What a fusion may be given, in this order."""

ComponentFactory = Callable[..., Any]


def worker_command() -> list[str]:
    """The command that an executor starts: it reads ``{"step_id", "request", "device", "threads"}`` lines from standard input and
    answers each with lines ``{"what", "step_id", "payload"}``, the fields of ``Event``. It ends when its standard input does.

    With ``ranks`` in a line, it starts so many less one of its like, and they train together; each takes one of the GPUs that
    it is shown."""
    return [sys.executable, "-P", "-m", "rrgbench", "exec-step"]
