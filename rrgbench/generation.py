"""Writing reports: greedy and beam search over any decoder, through its ``step`` and cache."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from rrgbench.batches import Progress, StudySet
from rrgbench.errors import ConfigError, PluginError, RRGBenchError
from rrgbench.interfaces import Decoder, Tokenizer
from rrgbench.model import Model
from rrgbench.types import Features


@dataclass(frozen=True)
class Decoding:
    """How a report is searched for. The words and their meaning are those of transformers.

    Attributes:
        num_beams: 1 is greedy search.
        max_new_tokens: most tokens a report, the end included.
        min_new_tokens: the report may not end before so many tokens.
        length_penalty: a finished beam's log-probability is divided by its length to this power; above 0 favours long reports.
        no_repeat_ngram_size: no n-gram of this size comes twice in a report; 0 allows it.
    """

    num_beams: int = 1
    max_new_tokens: int = 60
    min_new_tokens: int = 0
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = 0

    def __post_init__(self) -> None:
        least = {"num_beams": 1, "max_new_tokens": 1, "min_new_tokens": 0, "no_repeat_ngram_size": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"decoding.{name}", got=getattr(self, name), expected=f"{bound} or more")
        if not math.isfinite(self.length_penalty):
            raise ConfigError("decoding.length_penalty", got=self.length_penalty, expected="a finite number")
        if self.min_new_tokens > self.max_new_tokens:
            raise ConfigError(
                "decoding.min_new_tokens", got=self.min_new_tokens, expected=f"at most max_new_tokens, {self.max_new_tokens}"
            )


def generate(
    model: Model,
    data: StudySet,
    tokenizer: Tokenizer,
    decoding: Decoding,
    *,
    batch_size: int = 16,
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> list[str]:
    """A report for every study, in order.

    What a study is given does not depend on the studies that share its batch, but for the rounding of floats. A decoder with a
    ``generate(memory, decoding)`` of its own (ids: one sequence a study; what follows an end is cut) overrides the search.

    Args:
        model: left in evaluation mode, on ``device``.
        data: the studies; their targets are never asked for.
        tokenizer: the one that the decoder writes in.
        decoding: how to search.
        batch_size: studies at a time.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        on_progress: told of studies done and all studies.

    Raises:
        ConfigError: reports longer than the tokenizer's ``max_length`` are asked for.
        PluginError: the decoder's logits or cache are not what its contract says.
        RRGBenchError: the logits are NaN.
    """
    if decoding.max_new_tokens > tokenizer.max_length:
        raise ConfigError(
            "decoding.max_new_tokens", got=decoding.max_new_tokens, expected=f"at most the tokenizer's {tokenizer.max_length}"
        )
    model.to(device).eval()
    decoder = cast(Decoder, model.decoder)
    own = getattr(decoder, "generate", None)
    rules = _Rules(tokenizer, decoding)
    search = _greedy if decoding.num_beams == 1 else _beam
    reports: list[str] = []
    with torch.inference_mode():
        for begin in range(0, len(data), batch_size):
            batch = data.inputs_batch(range(begin, min(begin + batch_size, len(data)))).to(device)
            memory = model.memory(batch)
            found = _own(own, memory, decoding) if own is not None else search(decoder, memory, rules, decoding)
            reports += [tokenizer.decode(rules.words(ids)) for ids in found]
            if on_progress is not None:
                on_progress(len(reports), len(data), "reports")
    return reports


def _own(generate: Callable[[Features, Decoding], Any], memory: Features, decoding: Decoding) -> list[list[int]]:
    found = generate(memory, decoding)
    rows = found.tolist() if isinstance(found, Tensor) else [list(row) for row in found]
    if len(rows) != len(memory.mask):
        raise PluginError("generate of the decoder", got=f"{len(rows)} sequences", expected=f"{len(memory.mask)}, one a study")
    return rows


class _Rules:
    """Which tokens may come next."""

    def __init__(self, tokenizer: Tokenizer, decoding: Decoding) -> None:
        self.bos, self.eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        # Some vocabularies (R2Gen's) have one id for all three.
        self._never = sorted({tokenizer.bos_token_id, tokenizer.pad_token_id} - {self.eos})
        self._special = {tokenizer.bos_token_id, tokenizer.pad_token_id, self.eos}
        self.vocabulary = tokenizer.vocab_size
        self._least, self._ngram = decoding.min_new_tokens, decoding.no_repeat_ngram_size

    def words(self, ids: Sequence[int]) -> list[int]:
        """Ids up to the end of the report, without special ones."""
        body = list(ids)[1:] if list(ids)[:1] == [self.bos] else list(ids)
        return [token for token in body[: body.index(self.eos) if self.eos in body else None] if token not in self._special]

    def __call__(self, scores: Tensor, sequences: Tensor) -> Tensor:
        """Scores (rows, vocabulary) with -inf for what may not follow ``sequences`` (rows, 1 + tokens so far)."""
        scores = scores.clone()
        scores[:, self.vocabulary :] = -math.inf
        for token in self._never:
            scores[:, token] = -math.inf
        if sequences.shape[1] - 1 < self._least:
            scores[:, self.eos] = -math.inf
        if 0 < self._ngram < sequences.shape[1]:
            scores.masked_fill_(self._repeats(sequences[:, 1:], scores.shape[1]), -math.inf)
        return scores

    def _repeats(self, sequences: Tensor, vocabulary: int) -> Tensor:
        """bool (rows, vocabulary): the tokens that would complete an n-gram that the row already holds."""
        grams = sequences.unfold(1, self._ngram, 1)
        head = sequences[:, sequences.shape[1] - self._ngram + 1 :]
        again = (grams[:, :, :-1] == head[:, None]).all(dim=2)
        # Those that do not match write into a column that is cut off.
        tokens = torch.where(again, grams[:, :, -1], vocabulary)
        banned = torch.zeros(len(sequences), vocabulary + 1, dtype=torch.bool, device=sequences.device)
        return banned.scatter_(1, tokens, True)[:, :vocabulary]


def _step(decoder: Decoder, sequences: Tensor, memory: Features, cache: Any, vocabulary: int) -> tuple[Tensor, Any]:
    logits, cache = decoder.step(sequences[:, -1:], memory, cache)
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(sequences) or logits.shape[1] < vocabulary:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        name = type(decoder).__name__
        raise PluginError(f"step of decoder {name}: wrong logits", got=got, expected=f"({len(sequences)}, {vocabulary} or more)")
    return logits.float(), cache


def _not_a_number() -> RRGBenchError:
    return RRGBenchError("the decoder's logits are NaN", hint="the training diverged: try a lower lr or clip_norm")


def _greedy(decoder: Decoder, memory: Features, rules: _Rules, decoding: Decoding) -> list[list[int]]:
    """The likeliest token at every step. Finished studies leave once they are half of those that run."""
    device = memory.hidden_states.device
    found: list[list[int]] = [[] for _ in memory.mask]
    studies = list(range(len(found)))
    sequences = torch.full((len(found), 1), rules.bos, device=device)
    done = torch.zeros(len(found), dtype=torch.bool, device=device)
    cache: Any = None
    for _ in range(decoding.max_new_tokens):
        logits, cache = _step(decoder, sequences, memory, cache, rules.vocabulary)
        best, token = rules(logits, sequences).max(dim=1)
        if best.isnan().any():
            raise _not_a_number()
        # Where nothing may follow, and in studies that are done, an end.
        token = token.masked_fill(done | (best == -math.inf), rules.eos)
        sequences = torch.cat([sequences, token[:, None]], dim=1)
        done = token == rules.eos
        finished = int(done.sum())
        if finished == len(studies):
            break
        if 2 * finished >= len(studies):
            for study, row, over in zip(studies, sequences.tolist(), done.tolist(), strict=True):
                found[study] = row if over else []
            rows = (~done).nonzero().squeeze(1)
            studies = [studies[row] for row in rows.tolist()]
            sequences, done, memory, cache = sequences[rows], done[rows], _select(memory, rows), reorder(cache, rows)
    for study, row in zip(studies, sequences.tolist(), strict=True):
        found[study] = row
    return found


@dataclass(frozen=True)
class _Beam:
    """A report on its way: its log-probability, the row it continues, and the token that it adds."""

    score: float
    row: int
    token: int


class _Search:
    """The beams of one study: those that ended, the best first."""

    def __init__(self, decoding: Decoding, eos: int) -> None:
        self._decoding, self._eos = decoding, eos
        self._ended: list[tuple[float, list[int]]] = []

    def advance(self, candidates: Sequence[_Beam], length: int, sequences: Tensor) -> list[_Beam]:
        """Take the best candidates (the best first, twice as many as beams) for token ``length`` of the rows of ``sequences``.

        Returns:
            The beams that go on; none once the search is over.
        """
        beams, running = self._decoding.num_beams, list[_Beam]()
        for rank, beam in enumerate(candidates):
            if math.isnan(beam.score):
                raise _not_a_number()
            if beam.score == -math.inf:
                break
            if beam.token == self._eos or length == self._decoding.max_new_tokens:
                if rank < beams:
                    self._ended.append(
                        (beam.score / length**self._decoding.length_penalty, [*sequences[beam.row].tolist(), beam.token])
                    )
            elif len(running) < beams:
                running.append(beam)
        self._ended = sorted(self._ended, key=lambda ended: -ended[0])[:beams]
        if not running and not self._ended:  # nothing may follow
            self._ended.append((0.0, sequences[candidates[0].row].tolist()))
        if (
            len(self._ended) == beams
            and running
            and self._ended[-1][0] >= running[0].score / length**self._decoding.length_penalty
        ):
            return []
        return running

    @property
    def best(self) -> list[int]:
        return self._ended[0][1]


def _beam(decoder: Decoder, memory: Features, rules: _Rules, decoding: Decoding) -> list[list[int]]:
    """Beam search as in transformers (``early_stopping=False``): a study is over when as many beams ended as it has, and the best
    running one, at its present length, is no better than the worst of them. Studies that are over leave at once."""
    device, beams = memory.hidden_states.device, decoding.num_beams
    searches = [_Search(decoding, rules.eos) for _ in memory.mask]
    studies = list(range(len(searches)))
    sequences = torch.full((len(studies), 1), rules.bos, device=device)
    scores = torch.zeros(len(studies), 1, device=device)  # (studies, beams): one beam each until the first token is there
    cache: Any = None
    for length in range(1, decoding.max_new_tokens + 1):
        logits, cache = _step(decoder, sequences, memory, cache, rules.vocabulary)
        totals = scores.reshape(-1, 1) + rules(logits.log_softmax(dim=1), sequences)
        width, vocabulary = scores.shape[1], totals.shape[1]
        best, where = totals.reshape(len(studies), -1).topk(min(2 * beams, width * vocabulary), dim=1)
        going: list[tuple[int, list[_Beam]]] = []
        for place, (study, row_scores, row_places) in enumerate(zip(studies, best.tolist(), where.tolist(), strict=True)):
            candidates = [
                _Beam(score, place * width + flat // vocabulary, flat % vocabulary)
                for score, flat in zip(row_scores, row_places, strict=True)
            ]
            running = searches[study].advance(candidates, length, sequences)
            if running:
                idle = dataclasses.replace(running[0], score=-math.inf)
                going.append((study, running + [idle] * (beams - len(running))))
        if not going:
            break
        chosen = [beam for _, running in going for beam in running]
        rows = torch.tensor([beam.row for beam in chosen], device=device)
        tokens = torch.tensor([[beam.token] for beam in chosen], device=device)
        if width != beams or len(going) != len(studies):
            memory = _select(memory, rows)
        studies = [study for study, _ in going]
        scores = torch.tensor([beam.score for beam in chosen], device=device).reshape(len(studies), beams)
        sequences, cache = torch.cat([sequences[rows], tokens], dim=1), reorder(cache, rows)
    return [search.best for search in searches]


def _select(memory: Features, rows: Tensor) -> Features:
    view_ids, active = (None if each is None else each[rows] for each in (memory.view_ids, memory.active_nodes))
    return Features(memory.hidden_states[rows], memory.mask[rows], view_ids, active_nodes=active)


def reorder(cache: Any, rows: Tensor) -> Any:
    """A decoder's cache with its tensors' first dimension picked by ``rows`` (n,) int64; dicts, lists and tuples may nest.

    Raises:
        PluginError: the cache holds something else.
    """
    if isinstance(cache, Tensor):
        return cache.index_select(0, rows)
    if isinstance(cache, dict):
        return {key: reorder(value, rows) for key, value in cache.items()}
    if isinstance(cache, tuple) and hasattr(cache, "_fields"):
        return type(cache)(*(reorder(value, rows) for value in cache))
    if isinstance(cache, (tuple, list)):
        return type(cache)(reorder(value, rows) for value in cache)
    if cache is None or isinstance(cache, (bool, int, float, str)):
        return cache
    raise PluginError("the decoder's cache", got=type(cache).__name__, expected="tensors in nested tuples, lists and dicts")
