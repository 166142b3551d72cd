"""The encoders ``gcn`` and ``gat``: their contracts, that they read the graph, and what a missing extra says."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from rrgbench_knowledge_encoders import Gat, Gcn, rrgbench_knowledge_encoders

from rrgbench import ConfigError, KnowledgeGraph, Node
from rrgbench.testing import KnowledgeEncoderContract, toy_graph

torch.set_num_threads(1)

SMALL = {"width": 8, "layers": 2, "dropout": 0.2}
RELATIONS = ("modify", "located_at", "suggestive_of", "co_occurs")


class TestGcn(KnowledgeEncoderContract):
    component = Gcn
    options = SMALL


class TestGat(KnowledgeEncoderContract):
    component = Gat
    options = SMALL | {"heads": 2}


class TestNamed(KnowledgeEncoderContract):
    component = Gcn
    options = SMALL | {"names": True, "layers": 1}


def _graph(edges: list[tuple[int, int, int, int]], nodes: int = 4) -> KnowledgeGraph:
    """Edges as source, target, relation, count."""
    table = torch.tensor(edges, dtype=torch.int64).reshape(-1, 4)
    return KnowledgeGraph(
        tuple(Node(f"node {number}", "observation") for number in range(nodes)),
        table[:, :2].T.contiguous(),
        table[:, 2],
        RELATIONS,
        table[:, 3].float(),
    )


def _made(component: Any, graph: KnowledgeGraph, **options: Any) -> Any:
    torch.manual_seed(0)
    return component(graph, width=8, layers=1, **options).eval()


def _states(component: Any, first: KnowledgeGraph, second: KnowledgeGraph) -> list[torch.Tensor]:
    """The nodes of one encoder's weights over two graphs with the same relations."""
    one, two = _made(component, first), _made(component, second)
    with torch.no_grad():
        for parameter in one.parameters():  # away from the start, where relations do not differ yet
            parameter.add_(0.3 * torch.randn(parameter.shape))
    two.load_state_dict(one.state_dict())
    return [encoder.states().detach() for encoder in (one, two)]


def test_the_hook_offers_them() -> None:
    assert rrgbench_knowledge_encoders() == {"gcn": Gcn, "gat": Gat}


@pytest.mark.parametrize("component", [Gcn, Gat])
def test_a_node_reads_its_neighbours_and_no_others(component: Any) -> None:
    before, after = _states(component, _graph([(0, 1, 0, 5), (2, 3, 1, 5)]), _graph([(0, 1, 0, 5), (1, 3, 1, 5)]))
    # One layer: the ends of the edge that moved change, a node whose edges stayed does not, but for the degree of its neighbour.
    changed = (before - after).abs().amax(dim=1) > 1e-5
    assert changed[1] and changed[2] and changed[3]
    if component is Gat:
        assert not changed[0]


@pytest.mark.parametrize("component", [Gcn, Gat])
def test_counts_and_relations_of_edges_are_read(component: Any) -> None:
    plain = [(0, 1, 0, 5), (1, 2, 1, 50), (2, 3, 0, 50)]
    counted = [(0, 1, 0, 50), (1, 2, 1, 50), (2, 3, 0, 50)]
    turned = [(0, 1, 1, 5), (1, 2, 1, 50), (2, 3, 0, 50)]
    for other in (counted, turned):
        before, after = _states(component, _graph(plain), _graph(other))
        assert not torch.allclose(before, after, atol=1e-5)


def test_attention_reads_the_direction_of_an_edge() -> None:
    before, after = _states(Gat, _graph([(0, 1, 0, 5), (1, 2, 0, 5)]), _graph([(1, 0, 0, 5), (1, 2, 0, 5)]))
    assert not torch.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize("component", [Gcn, Gat])
def test_states_are_computed_once_a_batch(component: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = _made(component, toy_graph())
    calls = []
    monkeypatch.setattr(
        encoder.layers[0], "forward", lambda *given, run=encoder.layers[0].forward: calls.append(1) or run(*given)
    )
    encoder(torch.rand(50, 3) > 0.5)
    assert calls == [1]


def test_nodes_that_share_a_word_start_alike_by_option() -> None:
    nodes = tuple(Node(name, "anatomy") for name in ("left lung", "right lung", "heart"))
    graph = KnowledgeGraph(nodes, torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(Gcn(graph, width=64, names=True).nodes, dim=1)
    assert (vectors[0] @ vectors[1]).item() > 0.3 > (vectors[0] @ vectors[2]).abs().item()


def test_heads_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="option `heads`; got 3; expected a divisor of the width 8"):
        Gat(toy_graph(), width=8, heads=3)


def test_the_plugin_is_there_without_torch_geometric() -> None:
    code = (
        "import sys; sys.modules['torch_geometric'] = None\n"
        "import rrgbench_knowledge_encoders as plugin\n"
        "assert sorted(plugin.rrgbench_knowledge_encoders()) == ['gat', 'gcn']"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("component", "name"), [(Gcn, "gcn"), (Gat, "gat")])
def test_without_torch_geometric_they_say_how_to_get_it(component: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [key for key in sys.modules if key.partition(".")[0] == "torch_geometric"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch_geometric", None)  # as where it is not installed
    with pytest.raises(ConfigError, match=rf'`{name}` needs torch_geometric.*Hint: pip install "rrgbench\[graph\]"'):
        component(toy_graph())
