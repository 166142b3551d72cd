"""What ``lexicon`` and ``rrgbench.findings`` make of sentences: denials, lists, doubts, resolutions, history, normality."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rrgbench_annotators import Lexicon
from rrgbench_datasets import Phantom
from rrgbench_metrics import LabelFindings

from rrgbench import ReportGraph, Texts
from rrgbench.findings import findings_of, labels_of
from rrgbench.testing import AnnotatorContract
from rrgbench.text import clean_r2gen_iu, clean_r2gen_mimic

STATES = {"+": "present", "-": "absent", "?": "uncertain"}


def graph(report: str) -> ReportGraph:
    (made,) = Lexicon()([report])
    return made


def stated(report: str) -> set[str]:
    """The findings but normal, each with + - or ? before it."""
    marks = {state: mark for mark, state in STATES.items()}
    return {marks[state] + name for name, state in findings_of(graph(report)).items() if name != "normal"}


class TestLexicon(AnnotatorContract):
    component = Lexicon


DENIALS = """
No pleural effusion or pneumothorax. | -effusion -pneumothorax
No focal consolidation, pleural effusion, or pneumothorax is seen. | -consolidation -effusion -pneumothorax
The lungs are clear without focal consolidation, effusion, or edema. | -consolidation -effusion -edema
Lungs are clear of consolidation, nodules and masses. | -consolidation -nodule -mass
Negative for pneumothorax or pleural effusion. | -pneumothorax -effusion
Neither effusion nor pneumothorax is present. | -effusion -pneumothorax
No radiographic evidence of pneumonia. | -pneumonia
Absence of pneumothorax is noted. | -pneumothorax
No opacity to suggest pneumonia. | -opacity -pneumonia
The heart is not significantly enlarged. | -cardiomegaly
Pleural effusion is not seen. | -effusion
No lines or tubes are present. | -device
Pneumonia is unlikely. | -pneumonia
"""

ENDS = """
There is no evidence of edema, but there is a small effusion. | -edema +effusion
No pneumothorax, however moderate left pleural effusion is unchanged. | -pneumothorax +effusion
No pneumothorax with a small left effusion. | -pneumothorax +effusion
No pneumothorax and the heart is enlarged. | -pneumothorax +cardiomegaly
No effusion, stable cardiomegaly. | -effusion +cardiomegaly
No effusion, possible small nodule. | -effusion ?nodule
No acute fracture. Old healed rib fractures. | +fracture
Mild cardiomegaly, no edema. | +cardiomegaly -edema
There is pleural effusion but no pneumothorax. | +effusion -pneumothorax
Lungs: no consolidation. Pleura: small effusion. | -consolidation +effusion
Pneumothorax is not present and there is atelectasis. | -pneumothorax +atelectasis
No change in the small left pleural effusion. | +effusion
There is no significant interval change in bilateral pleural effusions. | +effusion
"""

DOUBTS = """
Possible small left effusion. | ?effusion
There may be a small effusion. | ?effusion
Left basilar opacity may represent atelectasis or pneumonia. | +opacity ?atelectasis ?pneumonia
Pneumonia cannot be excluded. | ?pneumonia
Cannot exclude a small effusion. | ?effusion
Atelectasis versus consolidation at the left base. | ?atelectasis ?consolidation
Bibasilar opacities, likely atelectasis. | +opacity ?atelectasis
Findings suspicious for pneumonia. | ?pneumonia
Opacity consistent with pneumonia. | +opacity +pneumonia
Blunting of the left costophrenic angle may represent small effusion. | ?effusion
If there is concern for pneumonia, obtain a lateral view. |
Evaluate for pneumothorax. |
History of pneumonia. |
Overlap in the apices could obscure a small nodule. |
"""

RESOLVED = """
Effusions and edema have resolved. | -effusion -edema
Resolved interstitial edema. | -edema
Interval resolution of the left effusion with persistent atelectasis. | -effusion +atelectasis
The previously seen right pneumothorax is no longer seen. | -pneumothorax
Right pneumothorax has resolved, small effusion remains. | -pneumothorax +effusion
Interval removal of the right PICC. | -device
The endotracheal tube has been removed. | -device
Pulmonary edema is improved. | +edema
Left effusion has decreased since the prior study. | +effusion
There has been interval development of a large pneumothorax. | +pneumothorax
No interval development of pneumothorax. | -pneumothorax
"""

PLACES = """
The heart is mildly enlarged. | +cardiomegaly
Enlarged cardiac silhouette. | +cardiomegaly
Borderline heart size. | +cardiomegaly
Heart is upper limits of normal in size. | -cardiomegaly
Heart size is normal. | -cardiomegaly
The pulmonary artery is enlarged. |
Small amount of pleural fluid. | +effusion
Small pericardial effusion. |
Costophrenic angles are sharp. | -effusion
Subcutaneous emphysema along the chest wall. |
Soft tissue edema. |
Focal airspace disease in the left base. | +opacity
A right PICC ends in the superior vena cava. | +device
Left chest pacemaker with leads in the right ventricle. | +device
External cardiac monitor leads. | +device
Sternotomy wires and surgical clips are intact. | +postoperative
Compression deformity of T8. | +fracture
Old compression of a thoracic vertebral body. | +fracture
Degenerative changes of the spine. | +degenerative
Calcified granuloma in the left lung. | +calcification +granuloma
Biapical pleural thickening. | +pleural_thickening
Large hiatal hernia. | +hiatal_hernia
The lungs are hyperinflated. | +hyperinflation
Low lung volumes. | +hypoinflation
Vascular congestion without frank edema. | +congestion -edema
There is a 2.5 cm nodule in the right lung. | +nodule
"""


def rows(table: str) -> list[tuple[str, set[str]]]:
    split = [line.partition("|") for line in table.strip().splitlines()]
    return [(sentence.strip(), set(found.split())) for sentence, _, found in split]


ALL = rows(DENIALS + ENDS.lstrip("\n") + DOUBTS.lstrip("\n") + RESOLVED.lstrip("\n") + PLACES.lstrip("\n"))


@pytest.mark.parametrize(("sentence", "found"), ALL)
def test_a_sentence_states_its_findings(sentence: str, found: set[str]) -> None:
    assert stated(sentence) == found


@pytest.mark.parametrize("clean", [clean_r2gen_iu, clean_r2gen_mimic, str.upper])
def test_cleaned_and_shouted_reports_state_the_same(clean: object) -> None:
    assert callable(clean)
    # Cleaning takes the commas, colons and numbers; a sentence whose meaning hangs on them is left out.
    kept = [(sentence, found) for sentence, found in ALL if not set(",:") & set(sentence) and "2.5" not in sentence]
    assert len(kept) > 50
    for sentence, found in kept:
        assert stated(clean(sentence)) == found, clean(sentence)


def test_a_list_without_commas_is_denied_to_its_end() -> None:
    assert stated("no focal consolidation pleural effusion or pneumothorax .") == {"-consolidation", "-effusion", "-pneumothorax"}


@pytest.mark.parametrize(
    "report",
    [
        "The heart is normal in size. The lungs are clear.",
        "Cardiomediastinal silhouette is within normal limits. No pneumothorax. Bony structures are intact.",
        "No acute cardiopulmonary abnormality.",
        "Stable cardiac silhouette. Costophrenic angles are sharp.",
    ],
)
def test_a_report_without_anything_abnormal_is_normal(report: str) -> None:
    assert findings_of(graph(report))["normal"] == "present"


@pytest.mark.parametrize(
    "report",
    [
        "The lungs are clear. The aorta is tortuous.",
        "The lungs are clear. Scoliosis.",
        "Heart size is normal. Possible left effusion.",
        "The lungs are not clear.",
        "Interstitial markings are increased.",
    ],
)
def test_what_has_no_name_is_abnormal_all_the_same(report: str) -> None:
    assert findings_of(graph(report))["normal"] == "absent"


def facts(report: str) -> set[tuple[str, ...]]:
    entities = graph(report).entities
    plain = {(entity.tokens, entity.label) for entity in entities}
    return plain | {(one.tokens, name, entities[other].tokens) for one in entities for name, other in one.relations}


def test_entities_and_relations_are_radgraphs() -> None:
    assert facts("Small left pleural effusion, increased.") >= {
        ("small", "OBS-DP"),
        ("left", "ANAT-DP"),
        ("pleural", "ANAT-DP"),
        ("effusion", "OBS-DP"),
        ("small", "modify", "effusion"),
        ("left", "modify", "pleural"),
        ("effusion", "located_at", "pleural"),
    }
    assert facts("No acute consolidation.") == {
        ("acute", "OBS-DA"),
        ("consolidation", "OBS-DA"),
        ("acute", "modify", "consolidation"),
    }
    assert facts("Opacity in the right lower lobe may represent atelectasis or early pneumonia.") >= {
        ("opacity", "located_at", "lobe"),
        ("lower", "modify", "lobe"),
        ("opacity", "suggestive_of", "atelectasis"),
        ("opacity", "suggestive_of", "pneumonia"),
        ("pneumonia", "OBS-U"),
    }
    assert facts("Heart size and mediastinal contours are mildly enlarged.") >= {
        ("enlarged", "located_at", "size"),
        ("enlarged", "located_at", "contours"),
        ("mildly", "modify", "enlarged"),
    }


def test_positions_are_inclusive_and_count_punctuation() -> None:
    made = graph("Heart size: normal; the port-a-cath (right) measures 2.5 cm.")
    assert made.text == "heart size : normal ; the port-a-cath ( right ) measures 2 . 5 cm ."
    assert [(entity.tokens, entity.start, entity.end) for entity in made.entities] == [
        ("heart", 0, 0),
        ("size", 1, 1),
        ("normal", 3, 3),
        ("port-a-cath", 6, 6),
        ("right", 8, 8),
    ]
    (within,) = [entity for entity in graph("Size is within normal limits.").entities if entity.label == "OBS-DP"]
    assert (within.tokens, within.start, within.end) == ("within normal limits", 2, 4)


@pytest.mark.parametrize(
    "report", ["Herz und Lunge unauffällig.", "Le cœur est de taille normale.".replace("normale", "usuelle"), "心肺无异常"]
)
def test_another_language_has_no_entities(report: str) -> None:
    assert graph(report).entities == ()
    assert findings_of(graph(report)) == {}


VOCABULARY = """no effusion heart small , and or may represent is versus in of the . left lungs clear possible not seen if
resolved : ; 2 enlarged wires sternotomy without"""
WORDS = st.sampled_from(VOCABULARY.split())


@given(st.one_of(st.text(), st.lists(WORDS, max_size=60).map(" ".join)))
def test_any_text_has_a_graph_with_valid_positions(text: str) -> None:
    made = graph(text)
    tokens = made.text.split()
    assert made == graph(text)
    for number, entity in enumerate(made.entities):
        assert entity.tokens == " ".join(tokens[entity.start : entity.end + 1])
        assert all(0 <= target < len(made.entities) and target != number for _, target in entity.relations)
    assert set(findings_of(made)) <= set(labels_of(made))


@pytest.mark.parametrize(
    "unit", ["small ", "heart effusion ", "no ", "effusion not seen ", "a-", ".", "\udcff", "x", "effusion versus "]
)
def test_hostile_texts_take_linear_time(unit: str) -> None:
    def seconds(length: int) -> float:
        text, start = unit * (length // len(unit)), time.process_time()
        findings_of(graph(text))
        return time.process_time() - start

    seconds(1_000)
    assert seconds(120_000) < 12 * (seconds(30_000) + 0.02)  # four times the length; sixteen times the time were quadratic


def test_the_words_of_the_tables_are_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    from rrgbench_annotators import lexicon

    before = Lexicon().identity
    assert before == Lexicon().identity and before.startswith(f"lexicon {lexicon.VERSION} ")
    monkeypatch.setattr(lexicon, "WORDS", {**lexicon.WORDS, "zebra": "observation"})
    assert Lexicon().identity != before


@pytest.mark.heavy
def test_planted_findings_of_phantom_are_read_without_a_mistake(tmp_path: Path) -> None:
    targets = Phantom(tmp_path, studies=600, size=32).targets("test")
    reports, labels = tuple(target.report for target in targets), tuple(target.labels for target in targets)
    texts = Texts(tuple(target.study_id for target in targets), reports, reports, labels)
    metric = LabelFindings(annotator=Lexicon())
    assert len(targets) > 100
    assert metric.aggregate(metric.score(texts)) == dict.fromkeys(LabelFindings.values, 1.0)
