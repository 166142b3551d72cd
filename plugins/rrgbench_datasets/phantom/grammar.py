"""Reports and indications, written by a grammar from what is true of a study.

A report states every finding that is there, denies some that are not, and ends (seldom begins) with two sentences on
the history. What the history sentences say follows from the history alone; the words of all are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from rrgbench_datasets.phantom.draws import Draws
from rrgbench_datasets.phantom.findings import SYMPTOMS, Finding, Study

T = TypeVar("T")

LUNGS = ("edema", "consolidation", "nodule", "atelectasis")
BRIEF = 0.25
"""How often a report sums up what is normal in one sentence."""
NOTHING = ("No acute cardiopulmonary abnormality.",)
HEART_AND_LUNGS = ("The heart and lungs are normal.",)
HEART_NORMAL = (
    "The heart is normal in size.",
    "Heart size is within normal limits.",
    "The cardiomediastinal silhouette is normal.",
    "The heart size and mediastinal contours are unremarkable.",
)
HEART_LARGE = (
    "The heart is {degree} enlarged{change}.",
    "There is {grade} cardiomegaly{change}.",
    "The cardiac silhouette is {degree} enlarged{change}.",
)
LUNGS_CLEAR = (
    "The lungs are clear.",
    "The lungs are clear bilaterally.",
    "The lungs are clear without focal consolidation or edema.",
    "There is no focal consolidation, nodule or edema.",
)
PLEURA_CLEAR = (
    "No pleural effusion or pneumothorax.",
    "There is no pneumothorax or pleural effusion.",
    "No pneumothorax or pleural effusion is seen.",
    "The pleural spaces are clear, without effusion or pneumothorax.",
)
NO_DEVICE = ("No lines or tubes are present.",)
DENIALS: Mapping[str, tuple[str, ...]] = {
    "consolidation": ("No focal consolidation.", "There is no focal consolidation."),
    "edema": ("No pulmonary edema.", "There is no pulmonary edema."),
    "nodule": ("No suspicious nodule.", "There is no suspicious nodule."),
}

PHRASES: Mapping[str, tuple[str, ...]] = {
    "effusion": ("a {size} {place} pleural effusion{change}", "{size} {place} pleural fluid{change}"),
    "bilateral effusion": ("{size} bilateral pleural effusions{change}", "{size} pleural effusions on both sides{change}"),
    "pneumothorax": ("a {size} {place} pneumothorax{change}", "a {size} {place} apical pneumothorax{change}"),
    "edema": ("{grade} pulmonary edema{change}", "{grade} interstitial edema{change}", "{grade} perihilar edema{change}"),
    "consolidation": ("{density} consolidation in the {place}{change}", "{density} {place} consolidation{change}"),
    "nodule": ("a {width} nodule in the {place} lung zone{change}", "a {width} {place} zone lung nodule{change}"),
    "atelectasis": ("{amount} atelectasis at the {place} base{change}", "{amount} {place} basilar atelectasis{change}"),
    "bilateral atelectasis": ("{amount} atelectasis at both bases{change}", "{amount} bibasilar atelectasis{change}"),
}
DEGREES: Mapping[str, tuple[str, str, str]] = {
    "degree": ("mildly", "moderately", "severely"),
    "grade": ("mild", "moderate", "severe"),
    "size": ("small", "moderate", "large"),
    "density": ("patchy", "partial", "dense"),
    "width": ("10 mm", "20 mm", "30 mm"),
    "amount": ("minimal", "moderate", "extensive"),
}
CHANGES: Mapping[str, tuple[str, ...]] = {
    "new": (", new from the prior study",),
    "unchanged": (", unchanged from the prior study", ", unchanged"),
    "larger": (", increased from the prior study", ", increased"),
    "smaller": (", decreased from the prior study", ", decreased"),
}
SAYS_CHANGE = 0.4
"""How often a report of a follow-up says how a finding changed."""

DEVICES: Mapping[str, tuple[str, ...]] = {
    "right picc": ("A right PICC ends in the superior vena cava.", "Right PICC tip is in the superior vena cava."),
    "left picc": ("A left PICC ends in the superior vena cava.", "Left PICC tip is in the superior vena cava."),
    "pacemaker": (
        "A left chest pacemaker has its lead in the right ventricle.",
        "Left pacemaker lead ends in the right ventricle.",
    ),
    "endotracheal tube": ("The endotracheal tube ends above the carina.", "Endotracheal tube tip is above the carina."),
    "enteric tube": ("An enteric tube ends in the stomach.", "Enteric tube tip is in the stomach."),
    "jugular line": (
        "A right internal jugular line ends in the superior vena cava.",
        "Right internal jugular line tip is in the superior vena cava.",
    ),
}

CONDITION_SAID: Mapping[str, tuple[str, str]] = {
    "sarcoidosis": (
        "Calcified hilar lymph nodes reflect old granulomatous disease.",
        "Calcified hilar lymph nodes are stable.",
    ),
    "tuberculosis": (
        "Fibrotic scarring of both apices reflects remote infection.",
        "Fibrotic scarring of both apices is stable.",
    ),
    "asbestos": (
        "Calcified plaques along the diaphragmatic pleura are stable.",
        "Calcified plaques along the diaphragmatic pleura are again demonstrated.",
    ),
    "smoking": (
        "Coarse bronchial markings suggest chronic airway disease.",
        "Coarse bronchial markings suggest chronic obstructive airway disease.",
    ),
    "hypertension": (
        "The thoracic aorta is tortuous with atherosclerotic calcification.",
        "The thoracic aorta is tortuous and calcified.",
    ),
}
EVENT_SAID: Mapping[str, tuple[str, str]] = {
    "fracture": ("A healed fracture deforms the right sixth rib.", "Healed fracture of the right sixth rib."),
    "bypass": ("Sternotomy wires and surgical clips are intact.", "Sternotomy wires are intact."),
    "osteoporosis": (
        "Old compression of a thoracic vertebral body is stable.",
        "Old compression of a thoracic vertebral body has not progressed.",
    ),
    "none": ("The bony structures are intact.", "Bony structures are intact."),
}
ANSWERS: Mapping[bool, str] = {
    True: "A round metallic marker lies at the site in question.",
    False: "Nothing of metal projects where it was looked for.",
}
"""What the report says first of a marker: in either case of no zone, so that no word before it helps to know which."""
ASKS = "Is a marker in the {zone} zone?"
WEIGHTS: Mapping[int, tuple[float, ...]] = {1: (1.0,), 2: (0.7, 0.3), 3: (0.5, 0.3, 0.2), 4: (0.4, 0.3, 0.2, 0.1)}
"""How usual each of so many phrasings is."""

CONDITION_TOLD: Mapping[str, tuple[str, str]] = {
    "sarcoidosis": ("sarcoidosis", "known sarcoidosis"),
    "tuberculosis": ("treated tuberculosis", "tuberculosis in youth"),
    "asbestos": ("asbestos exposure", "work with asbestos"),
    "smoking": ("heavy smoking", "smoking for decades"),
    "hypertension": ("hypertension", "poorly controlled hypertension"),
}
EVENT_TOLD: Mapping[str, tuple[str, str]] = {
    "fracture": ("a fall from a ladder", "a past fall"),
    "bypass": ("coronary bypass", "bypass surgery"),
    "osteoporosis": ("osteoporosis", "steroid osteoporosis"),
    "none": ("no injury or operation", "no operation"),
}


def report_of(study: Study, draws: Draws, question_alone: bool = False) -> str:
    """The report of a study: 3 to 7 sentences, after the answer where there is a question; or that answer alone."""
    if question_alone and study.question:
        return ANSWERS[study.question.answer]
    found = {finding.name: finding for finding in study.findings}
    heart, lungs, pleura = _heart(found, draws), _lungs(found, draws), _pleura(found, draws)
    if draws.chance(BRIEF) and not {"cardiomegaly", *LUNGS} & set(found):
        heart, lungs = [], list(HEART_AND_LUNGS)
        if not {"effusion", "pneumothorax"} & set(found):
            lungs, pleura = list(NOTHING), []
    sentences = _say((heart + lungs + pleura, lungs + pleura + heart, lungs + heart + pleura), draws)
    if "device" in found:
        place = len(sentences) if draws.chance(0.5) else 0
        sentences.insert(place, _say(DEVICES[found["device"].place], draws))
    elif draws.chance(0.15) and len(sentences) < 5:
        sentences = [*sentences, *NO_DEVICE]
    history = [_say(CONDITION_SAID[study.history.condition], draws), _say(EVENT_SAID[study.history.event], draws)]
    answer = [ANSWERS[study.question.answer]] if study.question else []
    return " ".join(answer + (history + sentences if draws.chance(0.1) else sentences + history))


def context_of(study: Study, draws: Draws, question_alone: bool = False) -> str:
    """The indication: who, why now, and the history that it tells, before the question where there is one; or the question alone.
    Empty where the study has none."""
    if not study.has_context:
        return ""
    asks = [ASKS.format(zone=study.question.named)] if study.question else []
    if question_alone and asks:
        return asks[0]
    symptom, who = draws.one_of(SYMPTOMS), f"{study.age} year old {study.sex}"
    condition, event = draws.one_of(CONDITION_TOLD[study.told.condition]), draws.one_of(EVENT_TOLD[study.told.event])
    form = draws.one_of(("{who} with {symptom}. History of {condition} and {event}.", "{symptom}. {who}, {condition}, {event}."))
    text = form.format(who=who, symptom=symptom, condition=condition, event=event)
    return " ".join([text[0].upper() + text[1:], *asks])


def _heart(found: Mapping[str, Finding], draws: Draws) -> list[str]:
    if "cardiomegaly" not in found:
        return [_say(HEART_NORMAL, draws)]
    return [_fill(_say(HEART_LARGE, draws), found["cardiomegaly"], draws)]


def _lungs(found: Mapping[str, Finding], draws: Draws) -> list[str]:
    """At most two sentences: what is there two by two, then perhaps one denial."""
    names = [name for name in LUNGS if name in found]
    if not names:
        return [_say(LUNGS_CLEAR, draws)]
    phrases = [_phrase(found[name], draws) for name in draws.shuffled(names)]
    sentences = [_there_is(phrases[start : start + 2], draws) for start in range(0, len(phrases), 2)]
    absent = [name for name in DENIALS if name not in found]
    if absent and len(sentences) == 1 and draws.chance(0.5):
        sentences.append(_say(DENIALS[draws.one_of(absent)], draws))
    return sentences


def _pleura(found: Mapping[str, Finding], draws: Draws) -> list[str]:
    names = [name for name in ("effusion", "pneumothorax") if name in found]
    if not names:
        return [_say(PLEURA_CLEAR, draws)]
    phrases = [_phrase(found[name], draws) for name in names]
    if len(names) == 2:
        return [_there_is(phrases, draws)]
    other = "pneumothorax" if names == ["effusion"] else "pleural effusion"
    if draws.chance(0.5):
        return [_there_is([f"{phrases[0]} without {other}"], draws)]
    return [_there_is(phrases, draws)]


def _phrase(finding: Finding, draws: Draws) -> str:
    kind = f"bilateral {finding.name}" if finding.place == "bilateral" else finding.name
    return _fill(_say(PHRASES[kind], draws), finding, draws)


def _fill(template: str, finding: Finding, draws: Draws) -> str:
    words = {name: row[finding.severity] for name, row in DEGREES.items()}
    says = draws.chance(SAYS_CHANGE) and finding.change
    change = _say(CHANGES[finding.change], draws) if says else ""
    return template.format(place=finding.place, change=change, **words)


def _there_is(phrases: Sequence[str], draws: Draws) -> str:
    text = (", and " if "," in phrases[0] else " and ").join(phrases)
    return _say((f"There is {text}.", f"{text[0].upper()}{text[1:]}.", f"Findings include {text}."), draws)


def _say(phrasings: Sequence[T], draws: Draws) -> T:
    """One of the phrasings, the first the most usual."""
    return draws.one_of(phrasings, WEIGHTS[len(phrasings)])
