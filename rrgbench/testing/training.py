"""What every loss and every adapter must be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rrgbench.interfaces import SOURCES
from rrgbench.testing.building import (
    TOLERANCE,
    assert_finite,
    assert_survives_saving,
    awake,
    built,
    component_name,
    module_of,
    saying,
)
from rrgbench.testing.toys import REPORTS, ToyTokenizer, generator, toy_features
from rrgbench.types import Features, Output, Samples, TargetBatch

_LOGITS = (
    "logits",
    "finding_logits",
    "mask_logits",
    "matching_logits",
    "node_logits",
    "entity_logits",
    "masked_logits",
    "lm_logits",
)
_OUTPUT = frozenset({*_LOGITS, "memory", "image_embedding", "report_embedding", "masks", "samples"})
READABLE = _OUTPUT | {"labels", "report_nodes", "reports"}


class LossContract:
    """Subclass it and set ``component``."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}

    def _made(self) -> Any:
        return built(type(self).component, {"tokenizer": ToyTokenizer()}, self.options)

    def _batch(self) -> tuple[Output, TargetBatch]:
        """Three studies with everything that a loss may read; one label of each is unknown, and the lungs on
        one film."""
        tokenizer, random = ToyTokenizer(), generator(4)
        encoded = [tokenizer.encode(report) for report in REPORTS[2:5]]
        ids = torch.full((3, max(map(len, encoded))), tokenizer.pad_token_id)
        for row, report in zip(ids, encoded):
            row[: len(report)] = torch.tensor(report)
        mask = torch.arange(ids.shape[1]) < torch.tensor([len(report) for report in encoded]).unsqueeze(1)
        features = toy_features(dict.fromkeys((*SOURCES, "memory"), 8))
        masks = torch.rand(3, 2, 2, 3, generator=random)
        masks[1, 1] = torch.nan
        labels = torch.tensor([[1.0, 0.0, torch.nan], [torch.nan, 1.0, 1.0], [0.0, torch.nan, 0.0]])
        output = Output(
            logits=torch.randn(3, ids.shape[1], tokenizer.vocab_size, generator=random),
            memory=features.pop("memory"),
            features=features,
            image_embedding=F.normalize(torch.randn(3, 8, generator=random), dim=1),
            report_embedding=F.normalize(torch.randn(3, 8, generator=random), dim=1),
            logit_scale=torch.tensor(10.0),
            finding_logits=torch.randn(3, 3, generator=random),
            mask_logits=torch.randn(masks.shape, generator=random),
            masks=masks,
            matching_logits=torch.randn(3, 3, generator=random),
            node_logits=torch.randn(3, 5, generator=random),
            entity_logits=torch.randn(3, 5, generator=random),
            masked_logits=torch.randn(3, 7, generator=random),
            masked_ids=torch.tensor([2, 0, 6]),
            lm_logits=torch.randn(3, ids.shape[1], tokenizer.vocab_size, generator=random),
            samples=Samples(ids, mask, -torch.rand(mask[:, 1:].shape, generator=random) * mask[:, 1:], ids.flip(0)),
        )
        nodes = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 0]]).bool()
        reports = tuple(REPORTS[2:5])
        return output, TargetBatch(("a", "b", "c"), ids, mask, ids, mask, labels, report_nodes=nodes, reports=reports)

    def _declared(self, output: Output, targets: TargetBatch) -> tuple[Output, TargetBatch]:
        """What the loss says it needs; the rest is gone."""
        needs = type(self).component.needs
        embedded = bool(needs & {"image_embedding", "report_embedding"})
        kept = {name: getattr(output, name) for name in _OUTPUT if name in needs}
        output = Output(
            features={name: one for name, one in output.features.items() if f"features.{name}" in needs},
            logit_scale=output.logit_scale if embedded else None,
            masked_ids=output.masked_ids if "masked_logits" in needs else None,
            **kept,
        )
        unread: dict[str, Any] = {name: None for name in ("labels", "report_nodes", "reports") if name not in needs}
        return output, dataclasses.replace(targets, **unread)

    def _loss(self, loss: Any, output: Output, targets: TargetBatch) -> Tensor:
        with saying(f"{self._name} on what its `needs` names"):
            value = loss(output, targets)
        assert isinstance(value, Tensor), f"{self._name} gives {type(value).__name__}, not a tensor"
        assert value.shape == (), f"{self._name} gives a tensor of shape {tuple(value.shape)}, not a scalar"
        assert_finite(value, f"{self._name} (does it read what its `needs` does not name?)")
        return value

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def test_it_says_what_it_needs(self) -> None:
        """``needs`` is readable on the factory, and names what there is."""
        needs = getattr(type(self).component, "needs", None)
        known = READABLE | {f"features.{source}" for source in SOURCES}
        right = isinstance(needs, frozenset) and len(needs) > 0 and needs <= known
        assert right, f"{self._name}.needs is {needs!r}, not a frozenset of {sorted(known)}"

    def test_it_gives_a_finite_scalar_from_what_it_needs(self) -> None:
        """With everything else gone, and the same value twice."""
        loss, batch = self._made(), self._declared(*self._batch())
        first, second = self._loss(loss, *batch), self._loss(loss, *batch)
        assert torch.equal(first, second), f"{self._name} is not deterministic"

    def test_a_gradient_reaches_what_it_needs(self) -> None:
        """At least one of the tensors that it reads."""
        loss, (output, targets) = self._made(), self._declared(*self._batch())
        read = {
            "memory": None if output.memory is None else output.memory.hidden_states,
            "image_embedding": output.image_embedding,
            "report_embedding": output.report_embedding,
            "samples": None if output.samples is None else output.samples.log_probs,
            **{name: getattr(output, name) for name in _LOGITS},
            **{f"features.{name}": one.hidden_states for name, one in output.features.items()},
        }
        tensors = {name: one for name, one in read.items() if name in type(self).component.needs and one is not None}
        for tensor in tensors.values():
            tensor.requires_grad_()
        value = self._loss(loss, output, targets)
        assert value.requires_grad, f"{self._name} gives a value without a gradient"
        found = torch.autograd.grad(value, list(tensors.values()), allow_unused=True)
        reached = [name for name, one in zip(tensors, found) if one is not None and bool(one.ne(0).any())]
        assert reached, f"{self._name} gives no gradient to any of {sorted(tensors)}"

    def test_padding_of_reports_does_not_matter(self) -> None:
        """Neither the ids and the logits in it nor its length."""
        loss, (output, targets) = self._made(), self._batch()
        assert targets.input_ids is not None and targets.attention_mask is not None
        before = self._loss(loss, *self._declared(output, targets))
        mask, tokenizer = targets.attention_mask, ToyTokenizer()
        ids = torch.where(mask, targets.input_ids, (targets.input_ids + 6) % tokenizer.vocab_size)
        other = dataclasses.replace(targets, input_ids=ids)
        after = self._loss(loss, *self._declared(_other_padding(output, mask), other))
        assert torch.allclose(before, after, TOLERANCE, TOLERANCE), f"{self._name} reads the padding of reports"
        longer = dataclasses.replace(
            targets,
            input_ids=torch.cat([targets.input_ids, targets.input_ids.new_full((3, 4), tokenizer.pad_token_id)], dim=1),
            attention_mask=torch.cat([mask, mask.new_zeros(3, 4)], dim=1),
        )
        after = self._loss(loss, *self._declared(_more_padding(output), longer))
        assert torch.allclose(before, after, TOLERANCE, TOLERANCE), f"{self._name} counts the padding of reports"

    def test_the_order_of_studies_does_not_matter(self) -> None:
        """The same value for the same batch in another order."""
        loss, (output, targets) = self._made(), self._declared(*self._batch())
        before, index = self._loss(loss, output, targets), torch.tensor([2, 0, 1])

        def mixed(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value[index] if value.dim() else value
            if isinstance(value, (Features, Samples)):
                return batch(value)
            if isinstance(value, Mapping):
                return {name: mixed(one) for name, one in value.items()}
            return tuple(value[place] for place in index.tolist()) if isinstance(value, tuple) else value

        def batch(value: Any) -> Any:
            return type(value)(**{field.name: mixed(getattr(value, field.name)) for field in dataclasses.fields(value)})

        # Pairs: films in the rows, reports in the columns.
        pairs = None if output.matching_logits is None else output.matching_logits[index][:, index]
        after = self._loss(loss, dataclasses.replace(batch(output), matching_logits=pairs), batch(targets))
        assert torch.allclose(before, after, TOLERANCE, TOLERANCE), f"{self._name} depends on the order of the studies"


def _other_padding(output: Output, mask: Tensor) -> Output:
    """The output with other and large numbers where reports (B, T) have padding."""
    noise = 9 * torch.randn((*mask.shape, ToyTokenizer().vocab_size), generator=generator(8))
    assert output.logits is not None and output.lm_logits is not None and output.samples is not None
    logits, alone = (torch.where(mask[..., None], each, noise) for each in (output.logits, output.lm_logits))
    return dataclasses.replace(output, logits=logits, lm_logits=alone)


def _more_padding(output: Output) -> Output:
    """The output with four more places of padding in reports."""
    assert output.logits is not None and output.lm_logits is not None and output.samples is not None
    logits, alone = (torch.cat([each, each[:, :4]], dim=1) for each in (output.logits, output.lm_logits))
    drawn, pad = output.samples, ToyTokenizer().pad_token_id
    ids, greedy = (torch.cat([each, each.new_full((3, 4), pad)], dim=1) for each in (drawn.ids, drawn.greedy_ids))
    mask = torch.cat([drawn.mask, drawn.mask.new_zeros(3, 4)], dim=1)
    chances = torch.cat([drawn.log_probs, drawn.log_probs.new_zeros(3, 4)], dim=1)
    return dataclasses.replace(output, logits=logits, lm_logits=alone, samples=Samples(ids, mask, chances, greedy))


class ToyModule(nn.Module):
    """Something to adapt: linear layers, a batch norm, dropout, an attribute and a method of its own."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.5)
        self.second = nn.Linear(8, 6)

    def scale(self) -> float:
        """A method that the platform might call."""
        return 2.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4) to (B, 6)."""
        answer: Tensor = self.second(self.dropout(self.norm(self.first(x)).relu()))
        return answer


class AdapterContract:
    """Subclass it and set ``component``; ``tolerance`` is how far the adapted module may differ at its start."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}
    tolerance: ClassVar[float] = TOLERANCE

    def _toy(self) -> ToyModule:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            return ToyModule()

    def _made(self, module: nn.Module) -> tuple[Any, nn.Module]:
        """The adapter, called, and the module that it gave."""
        adapter = built(type(self).component, {"module": module}, self.options)
        with saying(f"calling {self._name}"):
            adapted = adapter()
        return adapter, module_of(type(self).component, adapted)

    def _adapted(self, module: nn.Module) -> nn.Module:
        return self._made(module)[1]

    def _answer(self, module: nn.Module) -> Tensor:
        with saying(f"the forward pass of a module under {self._name}"):
            answer = module(torch.randn(5, 4, generator=generator(6)))
        assert isinstance(answer, Tensor) and answer.shape == (5, 6), f"{self._name} changes the shape of what a module gives"
        return answer

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def test_at_its_start_it_changes_nothing(self) -> None:
        """In evaluation mode the adapted module gives what the module gave."""
        before = self._answer(self._toy().eval())
        after = self._answer(self._adapted(self._toy()).eval())
        same = torch.allclose(before, after, self.tolerance, self.tolerance)
        assert same, f"{self._name} changes what a module gives before anything was learnt"

    def test_attributes_and_methods_stay_in_reach(self) -> None:
        """The platform goes on to read ``num_features`` and to call methods of the module."""
        adapted: Any = self._adapted(self._toy())
        with saying(f"reading attributes of a module under {self._name}"):
            found = (adapted.num_features, adapted.scale())
        assert found == (6, 2.0), f"{self._name} hides attributes of the module"

    def test_training_and_evaluation_can_be_switched(self) -> None:
        """In training it gives finite numbers; back in evaluation it is deterministic."""
        adapted = self._adapted(self._toy())
        assert_finite(self._answer(adapted.train()), f"what a module under {self._name} gives in training")
        adapted.eval()
        assert torch.equal(self._answer(adapted), self._answer(adapted)), f"{self._name} is not deterministic in evaluation mode"

    def test_what_is_trained_has_a_gradient(self) -> None:
        """Every parameter that the adapter leaves to be trained, if any."""
        adapted = self._adapted(self._toy())
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.5, generator=generator(7))
        trained = {name: one for name, one in adapted.named_parameters() if one.requires_grad}
        if not trained:
            return
        answer = self._answer(adapted.eval())
        weights = torch.randn(answer.shape, generator=generator(2))
        found = torch.autograd.grad((answer * weights).sum(), list(trained.values()), allow_unused=True)
        dead = [name for name, one in zip(trained, found) if one is None or not bool(one.ne(0).any())]
        assert not dead, f"{self._name} leaves parameters to be trained that no gradient reaches: {', '.join(dead)}"

    def test_a_step_changes_nothing_but_what_is_trained(self) -> None:
        """Frozen parameters stay, and so do the statistics of norms that are not trained."""
        adapted = self._adapted(self._toy()).train()
        trained = [one for one in adapted.parameters() if one.requires_grad]
        moving = {
            f"{name}.{own}".lstrip(".")
            for name, module in adapted.named_modules()
            for own, _ in module.named_buffers(recurse=False)
            if any(one.requires_grad for one in module.parameters(recurse=False))
        } | {name for name, one in adapted.named_parameters(remove_duplicate=False) if one.requires_grad}
        before = {name: one.detach().clone() for name, one in adapted.state_dict().items() if name not in moving}
        answer = self._answer(adapted)
        if trained:
            optimizer = torch.optim.SGD(trained, lr=0.1)
            with saying(f"the backward pass of a module under {self._name}"):
                torch.autograd.backward(answer.square().sum())
            optimizer.step()
        after = adapted.state_dict()
        moved = [name for name, one in before.items() if not torch.equal(one, after[name])]
        assert not moved, f"{self._name}: a step changes what is not trained: {', '.join(moved)}"

    def test_mixed_precision(self) -> None:
        """Finite numbers under bfloat16 autocast, in training."""
        adapted = self._adapted(self._toy()).train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answer = self._answer(adapted)
        assert_finite(answer, f"what a module under {self._name} gives under bfloat16 autocast")

    def test_merging_keeps_what_was_learnt(self) -> None:
        """Where it says that it merges: answers stay, names are those of the plain module, everything is trained again."""
        if not getattr(type(self).component, "merges", False):
            return
        adapter, adapted = self._made(self._toy())
        before = self._answer(awake(adapted).eval())
        with saying(f"merging {self._name}"):
            merged = module_of(type(self).component, adapter.merge())
        assert merged.state_dict().keys() == self._toy().state_dict().keys(), f"{self._name} merges into other names"
        same = torch.allclose(before, self._answer(merged.eval()), self.tolerance, self.tolerance)
        assert same, f"{self._name} loses what was learnt when it is merged"
        frozen = [name for name, one in merged.named_parameters() if not one.requires_grad]
        assert not frozen, f"{self._name} leaves frozen what it is merged into: {', '.join(frozen)}"
        still = [name for name, one in merged.train().named_modules() if not one.training]
        assert not still, f"{self._name} leaves in evaluation mode what it is merged into: {', '.join(still)}"

    def test_it_survives_a_state_dict(self) -> None:
        """Through safetensors, into another module under the same adapter."""
        first, second = self._adapted(self._toy()), self._adapted(ToyModule())
        assert_survives_saving(first, second, self._answer, f"a module under {self._name}")
