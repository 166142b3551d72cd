"""The knowledge graph as data and as a file: nodes and edges with counts, the same bytes for the same graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rrgbench.errors import DataError
from rrgbench.types import License

CO_OCCURS = "co_occurs"
RELATIONS: tuple[str, ...] = ("modify", "located_at", "suggestive_of", CO_OCCURS)
"""The types of edges; the place in this tuple is the type's number. The first three are RadGraph's, and directed."""

MOST_NODES = 2000
_MOST_EDGES = 500_000
_LARGEST_FILE = 64 * 2**20
_Count = Annotated[int, Field(ge=0, le=2**53)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class GraphNode(_Frozen):
    """A part of the body or an observation, and in how many train reports it stands at all, and is said to be what.

    Anatomy is ``present`` wherever it is named.
    """

    name: Annotated[str, Field(min_length=1, max_length=400)]
    kind: Literal["anatomy", "observation"]
    reports: Annotated[int, Field(ge=1, le=2**53)]
    present: _Count = 0
    uncertain: _Count = 0
    absent: _Count = 0


class GraphEdge(_Frozen):
    """``source`` and ``target`` are places in the list of nodes; ``count`` is in how many train reports the edge stands."""

    source: _Count
    target: _Count
    relation: Literal["modify", "located_at", "suggestive_of", "co_occurs"]
    count: Annotated[int, Field(ge=1, le=2**53)]


class Graph(_Frozen):
    """The knowledge graph of a train split.

    ``license`` is that of the data set whose reports were read. ``evidence`` maps a finding (of ``rrgbench.findings``) to the
    places of the nodes that say it. ``pruned`` says how many nodes and edges there were before pruning.
    """

    format: Literal[1] = 1
    license: License = "open"
    annotator: Annotated[str, Field(max_length=1000)]
    reports: Annotated[int, Field(ge=1, le=2**53)]
    pruned: dict[Literal["nodes", "edges"], _Count] = {}
    nodes: Annotated[tuple[GraphNode, ...], Field(min_length=1, max_length=MOST_NODES, strict=False)]
    edges: Annotated[tuple[GraphEdge, ...], Field(max_length=_MOST_EDGES, strict=False)] = ()
    evidence: Annotated[dict[str, tuple[_Count, ...]], Field(max_length=1000, strict=False)] = {}

    @model_validator(mode="after")
    def _hangs_together(self) -> Graph:
        known = range(len(self.nodes))
        if len({(node.name, node.kind) for node in self.nodes}) < len(self.nodes):
            raise ValueError("each node once")
        if any(edge.source not in known or edge.target not in known for edge in self.edges):
            raise ValueError(f"edges between the {len(self.nodes)} nodes")
        if any(place not in known for places in self.evidence.values() for place in places):
            raise ValueError(f"evidence among the {len(self.nodes)} nodes")
        return self

    def places(self) -> dict[tuple[str, str], int]:
        """(name, kind) of each node -> its place."""
        return {(node.name, node.kind): place for place, node in enumerate(self.nodes)}

    def text(self) -> str:
        """The file: JSON that people can read, one node or edge a line, the same bytes for the same graph."""

        def lines(items: tuple[BaseModel, ...]) -> str:
            return "[" + ",".join(f"\n  {json.dumps(item.model_dump())}" for item in items) + "\n ]"

        told: Mapping[str, str] = {
            "format": str(self.format),
            "license": json.dumps(self.license),
            "annotator": json.dumps(self.annotator),
            "reports": str(self.reports),
            "pruned": json.dumps(dict(sorted(self.pruned.items()))),
            "nodes": lines(self.nodes),
            "edges": lines(self.edges),
            "evidence": json.dumps({name: list(self.evidence[name]) for name in sorted(self.evidence)}),
        }
        return "{\n" + ",\n".join(f' "{name}": {value}' for name, value in told.items()) + "\n}\n"


def read_graph(path: Path) -> Graph:
    """The graph of a file.

    Raises:
        DataError: it cannot be read, or is not the file of a graph.
    """
    expected = "a graph as `rrgbench data graph` writes it"
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read", got=error.strerror, expected=expected) from error
    if len(content) > _LARGEST_FILE:
        raise DataError(f"{path} is too large", got=f"more than {_LARGEST_FILE} bytes", expected=expected)
    try:
        return Graph.model_validate_json(content)
    except ValidationError as error:
        first: Any = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise DataError(f"{path} is not a knowledge graph: {place}", got=first["msg"], expected=expected) from error


@dataclass(frozen=True)
class Mentions:
    """Which nodes of the graph are active in each train report, by study: what a report names of anatomy, and the
    observations that it states (present or uncertain)."""

    studies: Mapping[str, tuple[int, ...]]

    def text(self) -> str:
        """The file: a JSON object, one study a line, in the order of their ids."""
        rows = (f"\n {json.dumps(study)}: {json.dumps(list(self.studies[study]))}" for study in sorted(self.studies))
        return "{" + ",".join(rows) + "\n}\n"
