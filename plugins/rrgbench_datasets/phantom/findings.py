"""The structural model: who the subjects are, what they have, what of it is drawn, and what the indication may tell.

Findings hang together through a *pattern* of disease that a subject has (heart failure, infection ...). With
``knowledge_plant`` w a finding appears with probability (1 - w) p + w p(pattern), where p is the mean of p(pattern) over
patterns: its marginal is p for every w, and the findings are independent where w is 0.
History facts are drawn apart from all findings, and are on no film: only the indication can tell them.
Markers are drawn apart from both: half of the zones hold one, and the question names a zone. Neither the film nor the question
alone says anything of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rrgbench_datasets.phantom.draws import Draws

PATTERNS: Mapping[str, float] = {"well": 0.35, "failure": 0.20, "infection": 0.20, "critical": 0.15, "tumour": 0.10}
"""Patterns of disease and how many of the subjects have them."""

CHANCES: Mapping[str, tuple[float, float, float, float, float]] = {
    "effusion": (0.02, 0.70, 0.35, 0.40, 0.35),
    "cardiomegaly": (0.06, 0.85, 0.10, 0.20, 0.08),
    "consolidation": (0.02, 0.08, 0.85, 0.25, 0.10),
    "nodule": (0.05, 0.03, 0.03, 0.05, 0.90),
    "pneumothorax": (0.02, 0.02, 0.04, 0.55, 0.10),
    "edema": (0.01, 0.80, 0.05, 0.25, 0.02),
    "atelectasis": (0.05, 0.20, 0.30, 0.60, 0.25),
    "device": (0.03, 0.30, 0.10, 0.90, 0.30),
}
"""The labels, and how probable each finding is under each pattern, in the order of ``PATTERNS``."""

LABELS: tuple[str, ...] = tuple(CHANCES)

MARGINALS: Mapping[str, float] = {
    name: sum(share * chance for share, chance in zip(PATTERNS.values(), row, strict=True)) for name, row in CHANCES.items()
}

PLACES: Mapping[str, tuple[str, ...]] = {
    "effusion": ("right", "left", "bilateral"),
    "cardiomegaly": ("",),
    "consolidation": ("right upper lobe", "right middle lobe", "right lower lobe", "left upper lobe", "left lower lobe"),
    "nodule": ("right upper", "right mid", "right lower", "left upper", "left mid", "left lower"),
    "pneumothorax": ("right", "left"),
    "edema": ("",),
    "atelectasis": ("right", "left", "bilateral"),
    "device": ("right picc", "left picc", "pacemaker", "endotracheal tube", "enteric tube", "jugular line"),
}

CONDITIONS: tuple[str, ...] = ("sarcoidosis", "tuberculosis", "asbestos", "smoking", "hypertension")
EVENTS: tuple[str, ...] = ("fracture", "bypass", "osteoporosis", "none")
SYMPTOMS: tuple[str, ...] = ("cough", "shortness of breath", "chest pain", "fever", "weakness", "weight loss")

ZONES: tuple[str, ...] = PLACES["nodule"]
"""Where a marker may lie; each of a study's films has one in half of them."""

STAYS = 0.6
"""The probability that a finding at follow-up is carried over as it was, present or absent; else it is drawn anew."""


@dataclass(frozen=True)
class Finding:
    """One finding of one study. ``severity`` is 0, 1 or 2; ``change`` is since the study before, or empty."""

    name: str
    place: str
    severity: int
    change: str
    drawn: bool


@dataclass(frozen=True)
class History:
    """What a film cannot show: a chronic condition and a past event."""

    condition: str
    event: str


@dataclass(frozen=True)
class Question:
    """A question that takes film and indication to answer: is there a marker in the zone that is ``meant``?

    ``zones``: those with a marker; ``named``: the zone that the indication names.
    """

    zones: tuple[str, ...]
    meant: str
    named: str

    @property
    def answer(self) -> bool:
        """Whether there is."""
        return self.meant in self.zones


@dataclass(frozen=True)
class Study:
    """All that is true of one study before a film is drawn or a word is written. ``told``: the history in the indication;
    ``question``: where the interaction of film and indication is planted."""

    study_id: str
    subject: int
    visit: int
    age: int
    sex: str
    split: str
    findings: tuple[Finding, ...]
    history: History
    told: History
    has_context: bool
    has_lateral: bool
    prior_ids: tuple[str, ...]
    question: Question | None = None

    @property
    def subject_id(self) -> str:
        """The subject's name."""
        return f"p{self.subject:05d}"

    @property
    def labels(self) -> dict[str, int]:
        """Every label, 1 where the finding is there, drawn or not; and the zones, 1 where a marker is."""
        present = {finding.name for finding in self.findings}
        zones = {f"marker {zone}": int(zone in self.question.zones) for zone in ZONES} if self.question else {}
        return {name: int(name in present) for name in LABELS} | zones


@dataclass(frozen=True)
class Plants:
    """What each source tells; see docs/phantom.md."""

    image: float
    text: float
    knowledge: float
    interaction: float | None = None


def split_of(subject: int, seed: int) -> str:
    """Of each ten subjects in a row seven train, one validates, two test; which ones, the seed says."""
    tens = ["train"] * 7 + ["validate"] + ["test"] * 2
    return Draws("split", seed, subject // 10).shuffled(tens)[subject % 10]


def studies_of(subject: int, seed: int, most: int, plants: Plants, lateral_share: float, empty_share: float) -> tuple[Study, ...]:
    """The one to ``most`` studies of a subject, oldest first."""
    draws = Draws("subject", seed, subject)
    count = 1 + draws.below(most)
    pattern = draws.one_of(tuple(PATTERNS), tuple(PATTERNS.values()))
    history, donor = _history(Draws("history", seed, subject)), _history(Draws("donor", seed, subject))
    age, sex, split = 40 + 5 * draws.below(10), draws.one_of(("woman", "man")), split_of(subject, seed)
    findings: tuple[Finding, ...] = ()
    made: list[Study] = []
    for visit in range(count):
        findings = _findings(findings, visit, pattern, Draws("findings", seed, subject, visit), plants)
        telling = Draws("indication", seed, subject, visit)
        study = Study(
            study_id=f"s{subject:05d}-{visit + 1}",
            subject=subject,
            visit=visit,
            age=age,
            sex=sex,
            split=split,
            findings=findings,
            history=history,
            told=history if telling.chance(plants.text) else donor,
            has_context=not telling.chance(empty_share),
            has_lateral=telling.chance(lateral_share),
            prior_ids=tuple(earlier.study_id for earlier in made),
            question=_question(Draws("question", seed, subject, visit), plants.interaction),
        )
        made.append(study)
    return tuple(made)


def _question(draws: Draws, plant: float | None) -> Question | None:
    """Half of the zones, one that is meant, and with probability ``plant`` the same one, else one drawn apart, that is named."""
    if plant is None:
        return None
    zones = set(draws.shuffled(ZONES)[: len(ZONES) // 2])
    meant, other = draws.one_of(ZONES), draws.one_of(ZONES)
    return Question(tuple(zone for zone in ZONES if zone in zones), meant, meant if draws.chance(plant) else other)


def _history(draws: Draws) -> History:
    return History(draws.one_of(CONDITIONS), draws.one_of(EVENTS))


def _findings(before: tuple[Finding, ...], visit: int, pattern: str, draws: Draws, plants: Plants) -> tuple[Finding, ...]:
    """The findings of one visit. Every label takes the same draws whatever comes of it, so that plants move nothing else."""
    earlier = {finding.name: finding for finding in before}
    column = tuple(PATTERNS).index(pattern)
    found: list[Finding] = []
    for name, row in CHANCES.items():
        chance = (1.0 - plants.knowledge) * MARGINALS[name] + plants.knowledge * row[column]
        anew, stays = draws.chance(chance), draws.chance(STAYS)
        place, severity = draws.one_of(PLACES[name]), draws.below(3)
        step, drawn = draws.below(3) - 1, draws.chance(plants.image)
        last = earlier.get(name)
        if not ((last is not None) if visit and stays else anew):
            continue
        change = "new" if visit else ""
        if last is not None:
            place, severity = last.place, min(max(last.severity + step, 0), 2)
            change = ("smaller", "unchanged", "larger")[1 + severity - last.severity]
        found.append(Finding(name, place, severity, change, drawn))
    return tuple(found)
