"""The command that builds and draws the knowledge graph of a data set or an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrgbench.cli.app import JsonOption, StoreOption, print_json
from rrgbench.errors import ConfigError

if TYPE_CHECKING:
    from rrgbench.catalogue import Catalogue
    from rrgbench.knowledge.graph import Graph
    from rrgbench.plan import Plan
    from rrgbench.store import Store

_EXECUTOR = "local"
_SHOWN = 15

SourceArgument = Annotated[str, typer.Argument(metavar="DATASET|EXPERIMENT", help="A data set, or an experiment file (YAML).")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="An option of the data set, or a value of the experiment; repeatable."),
]
RootOption = Annotated[Path | None, typer.Option("--root", help="The folder of the data set.")]
AnnotatorOption = Annotated[
    str | None, typer.Option("--annotator", help="Who reads the train reports; a YAML mapping gives its options.")
]


def data_graph(
    source: SourceArgument,
    root: RootOption = None,
    annotator: AnnotatorOption = None,
    overrides: SetOption = None,
    min_count: Annotated[int | None, typer.Option(min=1, help="A node stands in so many train reports [5].")] = None,
    min_edge_count: Annotated[int | None, typer.Option(min=1, help="An edge stands in so many [3].")] = None,
    max_nodes: Annotated[int | None, typer.Option(min=1, max=2000, help="The most frequent nodes [200].")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the graph to this file (JSON).")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the most frequent nodes to this file (PNG).")] = None,
    drawn: Annotated[int, typer.Option("--drawn", min=2, max=400, help="How many nodes are drawn.")] = 60,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the knowledge graph of the train reports, or take it from the store; show, write and draw it."""
    from rrgbench.catalogue import Catalogue
    from rrgbench.knowledge.drawing import draw
    from rrgbench.knowledge.graph import read_graph
    from rrgbench.store import Store, default_store, write_atomically

    for option, path, suffix in (("--out", out, ".json"), ("--plot", plot, ".png")):
        if path is not None and (path.is_dir() or path.suffix.lower() != suffix):
            raise ConfigError(option, got=path, expected=f"a file that ends in {suffix}")
    catalogue, place = Catalogue.load(), Store(store or default_store())
    place.create()
    pruning = {"min_count": min_count, "min_edge_count": min_edge_count, "max_nodes": max_nodes}
    given = {name: value for name, value in pruning.items() if value is not None}
    if Path(source).suffix.lower() in (".yaml", ".yml", ".json"):
        for name, value in {"--root": root, "--annotator": annotator, **_flags(given)}.items():
            if value is not None:
                raise ConfigError(f"{name} says nothing beside an experiment", hint="the experiment does; --set changes it")
        plan, step_id = _of_experiment(catalogue, place, Path(source), overrides or [])
    else:
        plan, step_id = _of_dataset(catalogue, place, source, root, annotator, overrides or [], given)
    _build(plan, step_id, place, catalogue, quiet=as_json)
    path = place.whole(step_id) / "graph.json"
    graph = read_graph(path)
    if out is not None:
        write_atomically(out, path.read_bytes())
    if plot is not None:
        write_atomically(plot, draw(graph, drawn))
    _tell(graph, path, out, plot, as_json)


def _flags(given: dict[str, Any]) -> dict[str, Any]:
    return {f"--{name.replace('_', '-')}": value for name, value in given.items()}


def _of_experiment(catalogue: Catalogue, store: Store, path: Path, overrides: list[str]) -> tuple[Plan, str]:
    """The plan of an experiment and the one graph in it."""
    from rrgbench.experiment import Experiment
    from rrgbench.plan import make_plan

    plan = make_plan(Experiment.load(path, overrides).resolve(catalogue), store)
    graphs = [step.id for step in plan.steps.values() if step.kind == "graph"]
    if not graphs:
        raise ConfigError(f"{path}: no cell reads a knowledge graph", hint="name an encoder: base.encoders.knowledge")
    if len(graphs) > 1:
        got = f"{len(graphs)} graphs, since its axes change how one is built"
        raise ConfigError(f"{path}", got=got, expected="one", hint="choose by --set 'axes={PATH: [VALUE]}'")
    return plan, graphs[0]


def _of_dataset(
    catalogue: Catalogue,
    store: Store,
    name: str,
    root: Path | None,
    annotator: str | None,
    options: list[str],
    pruning: dict[str, Any],
) -> tuple[Plan, str]:
    """A plan of one step: the graph of a data set by an annotator."""
    from rrgbench.cell import KnowledgeConfig
    from rrgbench.cell.knowing import PRUNING
    from rrgbench.cli.outside import dataset_options
    from rrgbench.data import read_dataset
    from rrgbench.experiment.yaml import parse_yaml
    from rrgbench.plan import bare_plan
    from rrgbench.plan.knowing import graph_of

    if annotator is None:
        known = ", ".join(sorted(catalogue.specs["annotators"])) or "none"
        raise ConfigError("--annotator is missing", expected=f"who reads the train reports; installed: {known}")
    dataset = catalogue.resolve("datasets", dataset_options(name, options), "DATASET")
    reader = catalogue.resolve("annotators", parse_yaml(annotator, "--annotator"), "--annotator")
    kept = KnowledgeConfig(**pruning).model_dump(include=set(PRUNING))
    step = graph_of(dataset.name, read_dataset(store, dataset, root), reader, kept)
    return bare_plan("graph", {step.id: step}, catalogue), step.id


def _build(plan: Plan, step_id: str, store: Store, catalogue: Catalogue, quiet: bool) -> None:
    """Run the step where it is not done yet."""
    from rrgbench.cli.progress import make_listener
    from rrgbench.cli.tables import USER_MISTAKES, print_failures
    from rrgbench.runner import make_executor, run_steps

    if store.is_done(step_id):
        return
    executor = make_executor(catalogue, {"name": _EXECUTOR, "workers": 1})
    try:
        with make_listener(quiet) as listener:
            result = run_steps(plan, [step_id], store, executor, catalogue, listener)
    finally:
        executor.close()
    if result.failures:
        print_failures(result, store)
        raise typer.Exit(2 if all(failure.mistake in USER_MISTAKES for failure in result.failures) else 1)


def _tell(graph: Graph, path: Path, out: Path | None, plot: Path | None, as_json: bool) -> None:
    from rrgbench.cli.tables import make_console, print_graph

    written = {"graph": str(out or path), **({"plot": str(plot)} if plot is not None else {})}
    if as_json:
        print_json({**written, **graph.model_dump(mode="json")})
        return
    print_graph(graph, _SHOWN)
    for what, place in written.items():
        make_console().print(f"{what}: {place}", markup=False, soft_wrap=True)
    if graph.license != "open":
        make_console(stderr=True).print(f"The graph derives from {graph.license} data; keep it as such.", markup=False)
