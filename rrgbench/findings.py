"""Public: which findings a report states, read from its graph in RadGraph's schema, whoever annotated it.

An observation that modifies no other is read together with the words that modify it and with the part of the body where it is
located: "enlarged" at the heart is cardiomegaly, "fluid" in the pleura an effusion. Labels may be those of RadGraph
(``OBS-DP``) or of RadGraph-XL (``Observation::definitely present``). Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rrgbench.types import Entity, ReportGraph

State = Literal["present", "absent", "uncertain"]

NORMAL = "normal"
"""The finding of a report that states something and nothing abnormal."""


@dataclass(frozen=True)
class _Rule:
    """A finding is stated by one of ``words`` if one of ``where`` (unless empty) and none of ``nowhere`` belongs to it."""

    finding: str
    words: frozenset[str]
    where: frozenset[str] = frozenset()
    nowhere: frozenset[str] = frozenset()


def _words(table: str) -> frozenset[str]:
    return frozenset(table.split())


def _rule(finding: str, words: str, where: str = "", nowhere: str = "") -> _Rule:
    return _Rule(finding, _words(words), _words(where), _words(nowhere))


_HEART = "heart cardiac cardiomediastinal cardiopericardial cardiothoracic silhouette silhouettes"
_SPINE = (
    "spine spinal vertebral vertebra vertebrae thoracic lumbar cervical thoracolumbar disc disk endplate endplates body bodies"
)
_PLEURA = "pleural pleura fissure fissures fissural costophrenic pleural-parenchymal"
_BONES = (
    f"{_SPINE} rib ribs clavicle clavicles clavicular humerus humeral sternum sternal scapula bone bones bony osseous skeletal"
)
_SURGERY = "sternotomy sternal median cerclage cabg"

_RULES: tuple[_Rule, ...] = (
    _rule("atelectasis", "atelectasis atelectases atelectatic"),
    _rule("cardiomegaly", "cardiomegaly cardiomyopathy"),
    _rule(
        "cardiomegaly",
        "enlarged enlargement large big borderline increased increase dilated enlarging megaly globular",
        _HEART,
        "artery arteries vascular vasculature vascularity aorta aortic hilum hilar node nodes lymph hernia markings small "
        "mediastinal mediastinum",
    ),
    _rule("congestion", "congestion congested engorgement engorged chf"),
    _rule("congestion", "failure", "heart congestive cardiac"),
    _rule("consolidation", "consolidation consolidations consolidative"),
    _rule("edema", "edema edematous overload", "", "soft subcutaneous chest-wall"),
    _rule(
        "effusion",
        "effusion effusions hydropneumothorax hemothorax hydrothorax empyema",
        "",
        "pericardial joint knee",
    ),
    _rule("effusion", "fluid collection collections", _PLEURA),
    _rule("emphysema", "emphysema emphysematous", "", "subcutaneous"),
    _rule("emphysema", "bullous bulla bullae"),
    _rule("fibrosis", "fibrosis fibrotic"),
    _rule("hernia", "hernia hernias", "", "hiatal hiatus"),
    _rule("hiatal_hernia", "hernia hernias", "hiatal hiatus"),
    _rule("infiltrate", "infiltrate infiltrates infiltration infiltrations"),
    _rule("mass", "mass masses", "", "effect"),
    _rule("nodule", "nodule nodules nodularity nodularities"),
    _rule(
        "opacity",
        "opacity opacities opacification opacifications density densities haziness haze hazy opacified",
        "",
        f"{_BONES}",
    ),
    _rule("opacity", "disease", "airspace air-space air alveolar"),
    _rule("pleural_thickening", "thickening thickened plaque plaques capping"),
    _rule("pneumonia", "pneumonia pneumonias pneumonitis bronchopneumonia"),
    _rule("pneumothorax", "pneumothorax pneumothoraces hydropneumothorax"),
    _rule("scarring", "scar scars scarring"),
    _rule("granuloma", "granuloma granulomas granulomata granulomatous"),
    _rule("calcification", "calcification calcifications calcified calcific calcinosis calcium atherosclerotic atherosclerosis"),
    _rule(
        "hyperinflation", "hyperinflation hyperinflated hyperexpansion hyperexpanded hyperaerated overinflated overexpanded copd"
    ),
    _rule("hypoinflation", "hypoinflation hypoinflated hypoventilation hypoventilated underinflated underexpanded low-volume"),
    _rule("hypoinflation", "low reduced decreased diminished small", "volume volumes"),
    _rule("fracture", "fracture fractures fractured"),
    _rule("fracture", "compression compressed wedging", f"{_BONES} deformity deformities"),
    _rule("degenerative", "change changes", "endplate endplates"),
    _rule(
        "degenerative",
        """
            degenerative degeneration osteophyte osteophytes osteophytosis spondylosis spurring spurs arthritis osteoarthritis
            arthritic
        """,
    ),
    _rule(
        "postoperative",
        """
            sternotomy clip clips suture sutures staple staples postsurgical post-surgical postoperative post-operative cabg
            surgical hardware fixation screw screws rod rods plate plates fusion prosthesis prostheses arthroplasty valve
            valves prosthetic stent stents lobectomy pneumonectomy mastectomy resection thoracotomy
        """,
    ),
    _rule(
        "device",
        """
            picc catheter catheters line lines tube tubes pacemaker pacemakers pacer icd aicd defibrillator generator lead
            leads port ports mediport portacath port-a-cath device devices monitor monitors electrode electrodes
            tracheostomy stimulator shunt pump drain drains cannula swan-ganz swan iabp nasogastric endotracheal dobbhoff
            wire wires
        """,
        "",
        _SURGERY + " pleural fracture kerley",
    ),
)

FINDINGS: tuple[str, ...] = (*sorted({rule.finding for rule in _RULES}), NORMAL)
"""Every finding that may be stated, in the order in which statistics stand."""

_NEUTRAL = _words("""
    normal normally fully unremarkable clear sharp intact within of limits limit upper top high well-expanded
    well-inflated well-aerated well expanded inflated aerated preserved maintained symmetric midline stable unchanged
    change changes finding findings active acute definite apparent visible free gross improved improvement improving
    prior new interval residual size small large focal mild moderate minimal obvious overt suspicious superimposed
    underlying adjacent partially appreciable complete significant discrete single multiple several few numerous chronic
    old remote rotated overlying process processes nonspecific low-volume benign mildly slightly grossly moderately
    decreased resolving smaller asymmetric
""")
"""Observations that by themselves are no abnormality."""

_SOUND = _words("normal unremarkable clear intact")
_WELL_SAID: tuple[_Rule, ...] = (
    _rule("cardiomegaly", "normal unremarkable limits", _HEART),
    _rule("effusion", "clear sharp", _PLEURA),
)
"""What is said to be normal where: these findings are absent."""

_RANK: Mapping[State, int] = {"absent": 0, "uncertain": 1, "present": 2}


def findings_of(graph: ReportGraph) -> dict[str, State]:
    """The findings that a report mentions, in the order of ``FINDINGS``; of two mentions the stronger counts.

    ``normal`` is present where something is stated and nothing abnormal, known by name or not, is present or uncertain.
    """
    found: dict[str, State] = {}
    normal: State | None = None
    for state, words, places, _ in _statements(graph):
        names = [rule.finding for rule in _RULES if _applies(rule, words, places)]
        for name in names:
            found[name] = max(state, found.get(name, state), key=_RANK.__getitem__)
        if state == "present" and not names:
            for rule in _WELL_SAID:
                if _applies(rule, words, places):
                    found.setdefault(rule.finding, "absent")
        if (names or words - _NEUTRAL) if state != "absent" else _SOUND & words:
            normal = "absent"
        normal = normal or "present"
    if normal is not None:
        found[NORMAL] = normal
    return {name: found[name] for name in FINDINGS if name in found}


@dataclass(frozen=True)
class Statement:
    """One finding that an observation of a report states or denies; ``entities`` are the places in the graph of the observation
    and of what belongs to it: modifiers, and the part of the body where it is."""

    finding: str
    state: State
    entities: tuple[int, ...]


def statements_of(graph: ReportGraph) -> Iterator[Statement]:
    """Each finding with the entities that state it; those that a report calls normal, and ``normal`` itself, are none."""
    for state, words, places, entities in _statements(graph):
        for rule in _RULES:
            if _applies(rule, words, places):
                yield Statement(rule.finding, state, entities)


def label_of(state: State | None, *, uncertain: int = 1) -> int:
    """1 where a finding is present, 0 where it is absent or not mentioned; an uncertain one counts as present by default."""
    return {"present": 1, "uncertain": uncertain, "absent": 0, None: 0}[state]


def labels_of(graph: ReportGraph, *, uncertain: int = 1) -> dict[str, int]:
    """A label for each of ``FINDINGS``, for training and F1; see ``label_of``."""
    found = findings_of(graph)
    return {name: label_of(found.get(name), uncertain=uncertain) for name in FINDINGS}


def _applies(rule: _Rule, words: frozenset[str], places: frozenset[str]) -> bool:
    around = words | places
    return bool(rule.words & words and (not rule.where or rule.where & around) and not rule.nowhere & around)


def _statements(graph: ReportGraph) -> Iterator[tuple[State, frozenset[str], frozenset[str], tuple[int, ...]]]:
    """Of each observation that modifies no other: what is said of it, its words with its modifiers', those of its place, and the
    places of all these entities."""
    entities = graph.entities
    states = [_state(entity.label) for entity in entities]
    modifiers: dict[int, list[int]] = {}
    for number, entity in enumerate(entities):
        for name, target in entity.relations:
            if name == "modify":
                modifiers.setdefault(target, []).append(number)
    for number, entity in enumerate(entities):
        state = states[number]
        if state is None or any(name == "modify" and states[target] is not None for name, target in entity.relations):
            continue
        family = _family(number, modifiers)
        parts = [one for one in family if states[one] is None]
        parts += [target for one in family for name, target in entities[one].relations if name in ("located_at", "modify")]
        whole = [one for part in dict.fromkeys(parts) if states[part] is None for one in _family(part, modifiers)]
        yield (
            state,
            _said([entities[one] for one in family if states[one] is not None]),
            _said([entities[one] for one in whole if states[one] is None]),
            tuple(dict.fromkeys((*family, *whole))),
        )


def _family(number: int, modifiers: Mapping[int, list[int]]) -> list[int]:
    """An entity and what modifies it, and what modifies that."""
    members = {number: None}
    for one in list(modifiers.get(number, ())):
        members[one] = None
        members.update(dict.fromkeys(modifiers.get(one, ())))
    return list(members)


def _said(entities: list[Entity]) -> frozenset[str]:
    return frozenset(word for entity in entities for word in entity.tokens.lower().split())


def _state(label: str) -> State | None:
    """What a label says of an observation; None for anatomy and measurements."""
    return _STATES.get(label)


_STATES: Mapping[str, State] = {
    "OBS-DP": "present",
    "OBS-DA": "absent",
    "OBS-U": "uncertain",
    "Observation::definitely present": "present",
    "Observation::definitely absent": "absent",
    "Observation::uncertain": "uncertain",
}
