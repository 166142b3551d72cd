"""Graphs of both sides of a set of reports, each distinct text annotated once."""

from __future__ import annotations

from rrgbench import Annotator, PluginError, ReportGraph, Texts


def annotated(annotator: Annotator, texts: Texts, *, references: bool = True) -> tuple[list[ReportGraph], list[ReportGraph]]:
    """Graphs of predictions and of references (none where ``references`` is False), from lower-case texts.

    RadGraph's simple and partial rewards are case-sensitive, so that case is taken away before anything is annotated.

    Raises:
        PluginError: the annotator does not give one graph a report.
    """
    predictions = [text.lower() for text in texts.predictions]
    others = [text.lower() for text in texts.references] if references else []
    distinct = list(dict.fromkeys([*predictions, *others]))
    graphs = list(annotator(distinct))
    if len(graphs) != len(distinct):
        what = f"annotator {type(annotator).__name__}: graphs"
        raise PluginError(what, got=len(graphs), expected=f"one for each of {len(distinct)} reports")
    known = dict(zip(distinct, graphs))
    return [known[text] for text in predictions], [known[text] for text in others]
