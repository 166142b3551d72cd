"""Annotator ``radgraph``: RadGraph's models through its authors' package (Jain et al., 2021; Delbrouck et al., 2024)."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rrgbench import ConfigError, Entity, PluginError, ReportGraph
from rrgbench_annotators.radgraph_files import Files, find_files, package_version

_LOG = logging.getLogger(__name__)

_OLD_METHODS = ("encode_plus", "build_inputs_with_special_tokens")
"""What the package calls of a tokenizer and transformers 5 has no more."""


class RadGraph:
    """Entities and relations by RadGraph's models. A text is annotated alone, on the CPU: batches would change its graph.

    The weights come from the option ``weights``, else from the package's own cache; the base model's configuration and tokenizer
    from ``bert``, else from the hub's cache. Nothing is downloaded unless asked for. They are read when the first text is
    annotated. A relation of an entity to itself, which says nothing, is left out.

    Args:
        model: ``radgraph`` (labels ``OBS-DP``), or one of RadGraph-XL's (``Observation::definitely present``), each with its
            own tokens. Not ``echograph``: the package cuts its reports with the tokens of another model.
        weights: a folder that holds ``<model>/`` extracted, or ``<model>.tar.gz`` as it is published.
        bert: a folder with the base model's config.json and tokenizer.
        lower: texts are lower-cased first, as RadGraph's scores are usually made: its rewards tell Heart from heart.
        max_tokens: what a longer text says after so many tokens is not read; a warning tells how many texts. Memory grows with
            the square: 400 words take 4 GiB.
        threads: of torch; another number may round otherwise, so that it counts.
        download: fetch what is not there.

    Raises:
        ConfigError: (annotating, and ``identity``) the package, the weights or the base model are missing or do not fit.
    """

    def __init__(
        self,
        *,
        model: Literal["radgraph", "radgraph-xl", "modern-radgraph-xl"] = "radgraph",
        weights: Path | None = None,
        bert: Path | None = None,
        lower: bool = True,
        max_tokens: Annotated[int, Field(ge=16, le=4096)] = 512,
        threads: Annotated[int, Field(ge=1, le=256)] = 1,
        download: bool = False,
    ) -> None:
        if model not in ("radgraph", "radgraph-xl", "modern-radgraph-xl"):
            hint = "the package cuts echograph's reports with RadGraph-XL's tokens" if str(model) == "echograph" else ""
            raise ConfigError(
                "annotator radgraph: option `model`", got=model, expected="a model of chest X-ray reports", hint=hint
            )
        self._model, self._lower, self._max_tokens, self._threads = model, lower, max_tokens, threads
        self._weights, self._bert, self._download = weights, bert, download

    @cached_property
    def _files(self) -> Files:
        package_version()
        return find_files(self._model, self._weights, self._bert, download=self._download)

    @cached_property
    def identity(self) -> str:
        """Package, model, SHA-256 of weights and of vocabulary and settings, and what is done to a text."""
        weights, vocabulary = self._files.digests()
        made = f"radgraph {package_version()} {self._model}|weights {weights}|vocabulary {vocabulary}"
        return f"{made}|{'lower-cased' if self._lower else 'case kept'}|at most {self._max_tokens} tokens"

    def normal_form(self, text: str) -> str:
        """A text as it is annotated: one space between words, in lower case unless that is off, without lone surrogates."""
        plain = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
        return plain.lower() if self._lower else plain

    def __call__(self, reports: Sequence[str]) -> list[ReportGraph]:
        """One graph a report; its text is the package's tokens with a space between. A report of spaces is empty, and never
        given to the package, which would fail or read the word None."""
        texts = [self.normal_form(report) for report in reports]
        known = {text: self._graph(text) if text else ReportGraph("") for text in dict.fromkeys(texts)}
        long = sum(text != "" and self._is_long(text) for text in known)
        if long:
            told = "%d of %d reports have more than %d tokens; what follows was not read (annotator radgraph, option max_tokens)"
            _LOG.warning(told, long, len(known), self._max_tokens)
        return [known[text] for text in texts]

    def _is_long(self, text: str) -> bool:
        return len(text) > self._max_tokens and len(_tokens(text, self._model)) > self._max_tokens

    def _graph(self, text: str) -> ReportGraph:
        annotate = _loaded(self._model, self._files, self._files.digests())
        if self._is_long(text):
            text = " ".join(_tokens(text, self._model)[: self._max_tokens])
        with _threads(self._threads):
            found = annotate(text)
        return graph_of(found)


def graph_of(annotation: Mapping[str, Any]) -> ReportGraph:
    """A graph from the package's form: entities by number as text, relations to such numbers."""
    keys = {key: number for number, key in enumerate(annotation["entities"])}
    return ReportGraph(
        annotation["text"],
        tuple(
            Entity(
                entity["tokens"],
                entity["label"],
                entity["start_ix"],
                entity["end_ix"],
                tuple((name, keys[target]) for name, target in entity["relations"] if target != key),
            )
            for key, entity in annotation["entities"].items()
        ),
    )


def _tokens(text: str, model: str) -> list[str]:
    """The package's tokens of a text, which differ by model."""
    from radgraph.utils import preprocess_reports

    found: list[str] = preprocess_reports([text], model)[0]["sentences"][0]
    return found


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads of torch for a while."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the package prints goes to standard error, and its warnings about short texts nowhere."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@lru_cache(maxsize=1)
def _loaded(model: str, files: Files, digests: tuple[str, str]) -> Callable[[str], Mapping[str, Any]]:
    """The package's model as a function of one text, kept for the next step of this process.

    Raises:
        ConfigError: it cannot be made of these files.
    """
    with _quiet(), files.laid_out(model) as folder:
        import torch

        try:
            import radgraph

            with torch.random.fork_rng(devices=[]), _tokenizers(model):
                made = radgraph.RadGraph(model_type=model, model_cache_dir=str(folder), cuda=-1)
        except ConfigError:
            raise
        except Exception as error:
            what = f"annotator radgraph: {model} cannot be loaded from {files.weights} with the base model {files.base}"
            raise ConfigError(what, got=f"{type(error).__name__}: {error}", hint="do the two belong together?") from error

    def annotate(text: str) -> Mapping[str, Any]:
        # Its data loader draws a seed of torch's generator for every text.
        with torch.inference_mode(), torch.random.fork_rng(devices=[]), _quiet():
            found: Mapping[str, Mapping[str, Any]] = made([text])
        if "0" not in found:  # the package prints what goes wrong, and leaves the report out
            raise PluginError("annotator radgraph: the package gave no annotation of a report", hint="see the step's log")
        return found["0"]

    return annotate


class _WithOldMethods:
    """A BERT tokenizer of transformers 5 with the two methods of old that the package calls."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, *texts: Any, **options: Any) -> Any:
        return self._tokenizer(*texts, **options)

    def encode_plus(self, *texts: Any, **options: Any) -> Any:
        """What calling the tokenizer gives."""
        return self._tokenizer(*texts, **options)

    def build_inputs_with_special_tokens(self, ids: Sequence[int]) -> list[int]:
        """``[cls, .., sep]``."""
        return [self._tokenizer.cls_token_id, *ids, self._tokenizer.sep_token_id]


@contextlib.contextmanager
def _tokenizers(model: str) -> Iterator[None]:
    """While the package's model is made, the tokenizers that it asks for have what it calls; nothing of them is kept."""
    from radgraph.allennlp.common import cached_transformers

    original = cached_transformers.get_tokenizer

    def get_tokenizer(*arguments: Any, **options: Any) -> Any:
        tokenizer = original(*arguments, **options)
        return tokenizer if all(hasattr(tokenizer, name) for name in _OLD_METHODS) else _old(tokenizer, model)

    kept = [(cache, set(cache)) for cache in (cached_transformers._model_cache, cached_transformers._tokenizer_cache)]
    cached_transformers.get_tokenizer = get_tokenizer
    try:
        yield
    finally:
        cached_transformers.get_tokenizer = original
        for cache, before in kept:
            for key in set(cache) - before:  # a second copy of the model, under the name of a folder that is gone
                del cache[key]


def _old(tokenizer: Any, model: str) -> _WithOldMethods:
    """The tokenizer with the old methods.

    Raises:
        ConfigError: it is not BERT's, and would read texts otherwise than the model was taught.
    """
    ids = list(tokenizer("a")["input_ids"])
    bert = model != "modern-radgraph-xl" and ids[:1] == [tokenizer.cls_token_id] and ids[-1:] == [tokenizer.sep_token_id]
    if not bert:
        what = f"annotator radgraph: {model} would give other graphs with this version of transformers"
        raise ConfigError(what, expected="transformers 4.45 or later, below 5", hint='pip install "transformers<5"')
    return _WithOldMethods(tokenizer)
