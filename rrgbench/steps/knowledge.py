"""The steps of knowledge: the graph of the train split, and which of its nodes are active for each study of a split.

No step here is handed a target of validate or test; ``active`` of a train study never reads the report of its own subject.
"""

from __future__ import annotations

import numpy as np

from rrgbench.errors import DataError
from rrgbench.interfaces import Annotator
from rrgbench.knowledge.active import (
    Bools,
    Floats,
    finding_nodes,
    looks,
    nearest,
    pooled,
    retrieved,
    seen,
    shares,
    summary,
    thresholds,
    thumbnails,
)
from rrgbench.knowledge.building import Pruning, build_graph
from rrgbench.knowledge.graph import Graph, Mentions, read_graph
from rrgbench.steps.context import Context, Result
from rrgbench.store import read_done, read_json, write_json


def graph(context: Context) -> Result:
    """The graph of the train reports; files: graph.json, and mentions.json with the nodes that each of them states."""
    annotator: Annotator = context.build(context.payload["annotator"])
    targets = context.targets(context.payload["targets"])
    reports = annotator([target.report for target in targets])
    by_study = {target.study_id: report for target, report in zip(targets, reports, strict=True)}
    found, mentions = build_graph(by_study, str(annotator.identity), Pruning(**context.payload["pruning"]))
    found = found.model_copy(update={"license": context.request["license"]})
    (context.draft / "graph.json").write_text(found.text(), encoding="utf-8")
    (context.draft / "mentions.json").write_text(mentions.text(), encoding="utf-8")
    return Result()


def active(context: Context) -> Result:
    """Which nodes are active for each study of a split; files: active.npy, bool (n, G), and active.json about it."""
    known = read_graph(context.upstream("graph")[0] / "graph.json")
    return {"all": _everything, "retrieved": _retrieved, "image": _seen}[context.payload["source"]](context, known)


def _write(context: Context, found: Bools, **told: object) -> None:
    np.save(context.draft / "active.npy", found, allow_pickle=False)
    write_json(context.draft / "active.json", {"source": context.payload["source"], **summary(found), **told})


def _everything(context: Context, known: Graph) -> Result:
    """Every node, whatever the study."""
    _write(context, np.ones((len(context.inputs(context.payload["inputs"])), len(known.nodes)), dtype=np.bool_))
    return Result()


def _retrieved(context: Context, known: Graph) -> Result:
    """The nodes that reports of the nearest train studies state."""
    payload = context.payload
    inputs, train = context.inputs(payload["inputs"]), context.inputs(payload["train_inputs"])
    asked = looks(inputs, _films(context, ""))
    near = nearest(asked, looks(train, _films(context, "train_")), payload["neighbours"])
    mentions = Mentions(read_json(context.upstream("graph")[0] / "mentions.json"))
    found = retrieved(near, [study.study_id for study in train], mentions, len(known.nodes), payload["votes"])
    _write(context, found, neighbours=[[train[place].study_id for place in row] for row in near])
    # Films through an encoder carry its numerics, and what is chosen by them does too.
    features = context.upstream("features")
    return Result(read_done(features[0]).domain if features else None)


def _films(context: Context, side: str) -> Floats:
    """Each film as a vector: by an image encoder that was trained before, or as it is."""
    for role, vectors in (("features", pooled), ("pixels", thumbnails)):
        for folder in context.upstream(side + role):
            return vectors(np.load(folder / f"{role}.npy", mmap_mode="r"))
    raise DataError("retrieval of reports needs films")


def _seen(context: Context, known: Graph) -> Result:
    """The nodes that say the findings which the films show, by the head of findings."""
    # Imported here: the other sources need no torch.
    from rrgbench.steps.looking import finding_probabilities
    from rrgbench.steps.modelling import labelled

    names, targets = labelled(context, context.targets(context.payload["train_targets"]))
    probabilities, limits, domain = finding_probabilities(context, names)
    wanted = shares([target.labels for target in targets], names)
    table = finding_nodes(known, names)
    if not table.any():
        got = f"findings {', '.join(names) or 'none'}"
        raise DataError("no node of the knowledge graph says a finding", got=got, hint="lower knowledge.min_count, or retrieve")
    chosen = thresholds(limits, wanted)
    told = {name: None if np.isinf(limit) else float(limit) for name, limit in zip(names, chosen, strict=True)}
    _write(context, seen(probabilities, chosen, table), thresholds=told)
    return Result(domain)
