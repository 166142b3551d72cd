"""Self-critical sequence training: the decoder is rewarded for what it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy
import torch
from pydantic import Field
from torch import Tensor

from rrgbench import ConfigError, Metric, Output, Sampling, ScoringProtocol, TargetBatch, Texts, Tokenizer


class Scst:
    """Self-critical sequence training (Rennie et al., 2017): a drawn report is made likelier by as much as its reward is above
    that of the greedy report, the mean over the words of the batch.

    Rewards are metrics of single reports against their references, each multiplied by its weight; annotations of references come
    from the memo. A metric whose value hangs on the whole set of references (CIDEr's word weights) is scored over the batch.
    Beside its value the loss tells the rewards, the mean lengths and the share of distinct reports of greedy and drawn reports,
    and the references' own: a fall of length or of distinct reports is a collapse.

    Args:
        tokenizer: of the reports.
        reward: value -> the metric that gives it; any of a metric's values, or any other name for its first.
        protocol: what is done to texts before they are rewarded. No default: on another protocol than the one that judges,
            a reward is another reward.
        weights: value -> its weight; 1 where it is not said.
        max_new_tokens: longest report drawn, the end included.
        temperature: of drawing; under 1 nearer to the greedy report.

    Raises:
        ConfigError: no reward, a weight of a reward that is not there, a reward that needs labels or embeddings, or one of which
            less is better (a negative weight turns it round).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"samples", "reports"})

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        reward: Mapping[str, Metric],
        protocol: ScoringProtocol,
        weights: Mapping[str, float] | None = None,
        max_new_tokens: Annotated[int, Field(gt=0)] = 60,
        temperature: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        weights = weights or {}
        if not reward:
            raise ConfigError("loss scst: option `reward`", got="none", expected="at least one metric")
        if foreign := sorted(set(weights) - set(reward)):
            raise ConfigError("loss scst: option `weights`", got=foreign[0], expected=f"of {', '.join(reward)}")
        for name, metric in reward.items():
            if lacking := sorted(metric.needs & {"labels", "embeddings"}):
                raise ConfigError(f"loss scst: reward {name}", got=f"it needs {lacking[0]}", expected="a metric of texts")
            if metric.values[_value(name, metric)] == "lower" and weights.get(name, 1.0) > 0:
                raise ConfigError(f"loss scst: reward {name}", got="less of it is better", hint="give it a negative weight")
        self._tokenizer, self._protocol = tokenizer, protocol
        self._reward = {name: (weights.get(name, 1.0), metric) for name, metric in sorted(reward.items())}
        self.sampling = Sampling(
            tokenizer.bos_token_id,
            tokenizer.eos_token_id,
            tokenizer.pad_token_id,
            tokenizer.vocab_size,
            min(max_new_tokens, tokenizer.max_length - 1),
            temperature,
        )
        self._told: dict[str, float] = {}

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        """samples of the batch and its reports; gives a scalar."""
        samples = output.samples
        assert samples is not None and targets.reports is not None, "the platform gives what `needs` names"
        drawn, greedy = self._texts(samples.ids), self._texts(samples.greedy_ids)
        references = [self._protocol.prepare(report, "reference") for report in targets.reports]
        rewards = self._rewards(targets.study_ids, [*drawn, *greedy], references * 2)
        ours, theirs = rewards[: len(drawn)], rewards[len(drawn) :]
        self._told = {
            "reward": float(ours.mean()),
            "greedy_reward": float(theirs.mean()),
            **_shape("", drawn),
            **_shape("greedy_", greedy),
            **_shape("reference_", references),
        }
        gain = torch.from_numpy(ours - theirs).to(samples.log_probs)
        real = samples.mask[:, 1:]
        return -(gain[:, None] * samples.log_probs).sum() / real.sum()

    def told(self) -> Mapping[str, float]:
        """Of the last batch: ``reward`` and ``greedy_reward``, and ``length`` (words) and ``distinct`` (the share of reports that
        differ) of drawn, ``greedy_`` and ``reference_`` reports."""
        return self._told

    def _texts(self, ids: Tensor) -> list[str]:
        end, rows = self._tokenizer.eos_token_id, []
        for row in ids[:, 1:].tolist():
            words = row[: row.index(end)] if end in row else row
            rows.append(self._protocol.prepare(self._tokenizer.decode(words), "prediction"))
        return rows

    def _rewards(self, study_ids: Sequence[str], predictions: list[str], references: list[str]) -> numpy.ndarray[Any, Any]:
        """The reward of each report, (n,) float64. An end that was cut off leaves no report: an empty one earns what it earns."""
        names = tuple(f"{study}/{place}" for place, study in enumerate((*study_ids, *study_ids)))
        texts = Texts(names, tuple(predictions), tuple(references))
        total = numpy.zeros(len(predictions))
        for name, (weight, metric) in self._reward.items():
            statistics = metric.score(texts)
            value = _value(name, metric)
            each = [metric.aggregate(statistics[place : place + 1])[value] for place in range(len(statistics))]
            total += weight * numpy.asarray(each)
        return total


def _value(name: str, metric: Metric) -> str:
    """Which of a metric's values a reward is."""
    return name if name in metric.values else next(iter(metric.values))


def _shape(side: str, texts: Sequence[str]) -> dict[str, float]:
    lengths = sum(len(text.split()) for text in texts) / len(texts)
    return {f"{side}length": lengths, f"{side}distinct": len(set(texts)) / len(texts)}
