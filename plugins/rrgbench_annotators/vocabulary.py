"""The words of chest X-ray reports that ``lexicon`` knows, in lower case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["anatomy", "place", "observation", "quality", "degree"]
"""anatomy: a part of the body. place: where on it. observation: what is seen. quality: how it is. degree: how much so."""


def _words(table: str) -> tuple[str, ...]:
    return tuple(table.split())


_ANATOMY = _words("""
    heart cardiac cardiomediastinal cardiomediastinum cardiopericardial cardiopulmonary cardiothoracic mediastinum
    mediastinal silhouette silhouettes contour contours size sizes shadow shadows lung lungs pulmonary parenchyma
    parenchymal pleural pleura lobe lobes lobar base bases apex apices hilum hila hilar hilus aorta aortic arch knob
    diaphragm diaphragms hemidiaphragm hemidiaphragms diaphragmatic costophrenic cardiophrenic cp angle angles sulcus sulci
    recess recesses rib ribs spine thoracic cervical lumbar thoracolumbar vertebral vertebra vertebrae spinal body bodies
    disc disk endplate endplates clavicle clavicles clavicular humerus humeral shoulder shoulders acromioclavicular
    glenohumeral ac scapula sternum sternal manubrium bone bones bony osseous osseus skeletal skeleton thorax chest wall
    hemithorax trachea tracheal carina bronchus bronchi bronchial airway airways peribronchial bronchovascular vasculature
    vascularity vasculatures vessels vessel vascular venous interstitium interstitial markings marking volume volumes
    fissure fissures fissural lingula lingular structures structure stripe stomach bowel colon abdomen abdominal quadrant
    liver spleen svc ivc atrium atrial ventricle ventricles ventricular jugular subclavian brachiocephalic innominate vein
    veins artery arteries arterial coronary esophagus esophageal gastroesophageal neck hiatal hiatus breast breasts axilla
    axillary pericardial pericardium intrathoracic hip knee joint joints lymph node nodes azygos cavoatrial caval ge
    junction nipple nipples skin subcutaneous cortex cortical
""")

_PLACE = _words("""
    left right bilateral bilaterally unilateral upper lower middle mid midlung midlungs medial medially lateral laterally
    anterior anteriorly posterior posteriorly superior inferior basilar bibasilar basal bibasal apical biapical perihilar
    parahilar suprahilar infrahilar retrocardiac retrosternal paratracheal subpulmonic subpleural peripheral peripherally
    periphery central centrally left-sided right-sided lower-lobe upper-lobe midthoracic multilevel throughout zone zones
    region regions segment segments aspect distal proximal juxtahilar peritracheal subcarinal paraspinal
""")

_OBSERVATION = _words("""
    effusion effusions fluid pneumothorax pneumothoraces hydropneumothorax hemothorax empyema consolidation consolidations
    opacity opacities opacification opacifications infiltrate infiltrates infiltration infiltrations atelectasis atelectases
    edema congestion cardiomegaly pneumonia pneumonias pneumonitis bronchopneumonia mass masses nodule nodules nodularity
    nodularities granuloma granulomas granulomata calcification calcifications calcinosis calculus scar scars scarring
    fibrosis emphysema copd asthma bronchitis bronchiolitis hernia hernias fracture fractures dislocation dislocations
    deformity deformities osteophyte osteophytes osteophytosis spondylosis scoliosis dextroscoliosis levoscoliosis kyphosis
    kyphoscoliosis lordosis curvature dextrocurvature levocurvature spurring spurs arthritis osteoarthritis arthropathy
    arthrosis osteopenia osteoporosis demineralization dish thickening plaque plaques adenopathy lymphadenopathy
    hyperinflation hyperexpansion hypoinflation hypoventilation bronchiectasis bulla bullae bleb blebs lesion lesions
    density densities abnormality abnormalities disease process processes finding findings infection infections failure chf
    tortuosity ectasia uncoiling unfolding aneurysm atherosclerosis cavity cavitation cavities cavitations pneumoperitoneum
    pneumomediastinum collection collections blunting elevation eventration enlargement prominence fullness widening
    crowding engorgement cuffing change changes compression collapse lucency lucencies tenting metastasis metastases
    malignancy neoplasm tumor cancer carcinoma lymphoma sarcoidosis tuberculosis histoplasmosis aspiration contusion
    hemorrhage haziness haze hypertension overload injury injuries obstruction flattening narrowing wedging erosion erosions
    irregularity irregularities silhouetting lobectomy pneumonectomy mastectomy resection thoracotomy sternotomy cabg bypass
    pectus cardiomyopathy dissection gas bronchogram bronchograms cyst cysts tumors abscess tracheobronchial spot spots
    patch lipoma gynecomastia loss picc catheter catheters line lines tube tubes pacemaker pacemakers pacer icd aicd
    defibrillator generator lead leads wire wires clip clips suture sutures staple staples stent stents valve valves
    prosthesis prostheses port ports mediport portacath port-a-cath hardware device devices monitor monitors electrode
    electrodes tracheostomy screw screws rod rods plate plates shunt implant implants pump drain drains filter stimulator
    fixation arthroplasty cannula swan-ganz swan iabp nasogastric endotracheal dobbhoff fusion bullet fragment fragments
    shrapnel buckshot projectile pellets body-piercing reticulation dysplasia hyperlucency increase degeneration hypertrophy
    capping cap stranding pneumatocele pneumatoceles pseudoaneurysm
""")

_QUALITY = _words("""
    normal unremarkable clear sharp intact well-expanded well-inflated well-aerated expanded inflated aerated preserved
    maintained symmetric midline enlarged large big small tiny moderate mild minimal trace severe marked massive extensive
    slight subtle faint vague gross trivial moderate-sized tortuous ectatic unfolded uncoiled calcified noncalcified
    calcific elevated blunted obscured indistinct hyperinflated hyperexpanded overexpanded overinflated hyperaerated
    hyperlucent hypoinflated underinflated underexpanded hypoventilated emphysematous degenerative flattened flat prominent
    dilated distended atherosclerotic atheromatous widened increased decreased low high reduced diminished stable unchanged
    new old chronic acute healed healing remote prior residual persistent worsening worsened worse improved improving
    improvement resolving increasing decreasing larger smaller progressed displaced nondisplaced minimally-displaced focal
    patchy diffuse multifocal scattered confluent dense hazy streaky linear bandlike band-like platelike plate-like discoid
    subsegmental segmental reticular reticulonodular nodular rounded round ill-defined well-defined ground-glass groundglass
    fluffy alveolar airspace air-space coarse coarsened fibrotic granulomatous postsurgical postoperative surgical
    post-surgical post-operative posttraumatic traumatic obstructive restrictive infectious inflammatory active suspicious
    definite discrete appreciable significant compressive dependent loculated layering superimposed underlying adjacent
    multiple numerous several few single solitary innumerable bulky spiculated cavitary cystic bullous lytic sclerotic
    blastic destructive osteopenic osteoporotic demineralized kyphotic scoliotic hypertrophic arthritic spondylitic
    spondylotic degenerated congested engorged pneumonic consolidative atelectatic edematous metastatic malignant benign
    pulmonic congestive abnormal hyperdense radiopaque metallic prosthetic retained foreign free apparent crowded
    accentuated exaggerated tip kinked broken fractured collapsed compressed wedge-shaped wedged asymmetric asymmetrical
    interval unusual pathologic lobulated eventrated tunneled partial partially complete rotated bilobed nonspecific
    postinflammatory tuberculous bronchiectatic hyper thickened narrowed remodeled pneumoconiotic overt frank obvious
    residuals concerning worrisome enlarging loss-of-volume fibronodular fibrocalcific septal interstitial-appearing
""")

_DEGREE = _words("""
    mildly moderately severely slightly minimally markedly grossly significantly diffusely partially borderline somewhat
    extensively mild-to-moderate approximately heavily massively densely
""")

WORDS: Mapping[str, Kind] = {
    **dict.fromkeys(_DEGREE, "degree"),
    **dict.fromkeys(_QUALITY, "quality"),
    **dict.fromkeys(_PLACE, "place"),
    **dict.fromkeys(_ANATOMY, "anatomy"),
    **dict.fromkeys(_OBSERVATION, "observation"),
}
"""Each word that is an entity by itself."""

COMPOUNDS = frozenset(
    _words("""
        sternotomy compression bypass monitor pacemaker picc endotracheal nasogastric dobbhoff port stent icd aicd
        defibrillator pump valve generator tracheostomy tube catheter line lead swan-ganz iabp
    """)
)
"""Observations that modify one that follows at once: "sternotomy wires", "compression fracture"."""

_PHRASES: Mapping[Kind, tuple[str, ...]] = {
    "observation": (
        "air trapping",
        "air bronchogram",
        "air bronchograms",
        "air - fluid level",
        "air-fluid level",
        "air-fluid levels",
        "air fluid level",
        "air fluid levels",
        "heart failure",
        "free air",
        "subcutaneous air",
        "subcutaneous gas",
        "subcutaneous emphysema",
        "volume loss",
        "loss of volume",
        "height loss",
        "loss of height",
        "foreign body",
        "foreign bodies",
        "mass effect",
        "ng tube",
        "et tube",
        "chest tube",
        "chest tubes",
        "bone island",
        "nipple shadow",
        "nipple shadows",
        "nipple shadowing",
        "lymph node enlargement",
        "fat pad",
        "fat pads",
        "pericardial fat",
        "mediastinal fat",
        "shortness of breath",
        "rib spacing",
    ),
    "anatomy": (
        "soft tissue",
        "soft tissues",
        "lymph node",
        "lymph nodes",
        "vena cava",
        "superior vena cava",
        "inferior vena cava",
        "air space",
        "air spaces",
        "airspaces",
        "pleural space",
        "pleural spaces",
    ),
    "quality": (
        "upper limits of normal",
        "upper limit of normal",
        "upper limits normal",
        "upper normal",
        "top normal",
        "top limits of normal",
        "top of normal",
        "high normal",
        "within normal limits",
        "within limits of normal",
        "limits of normal",
        "air space",
        "well expanded",
        "well inflated",
        "well aerated",
        "normally inflated",
        "normally expanded",
        "fully expanded",
        "normal limits",
        "ground glass",
        "ill defined",
        "poorly defined",
        "low volume",
    ),
}

_SAID_OF_FILMS = """
    pa and lateral | pa lateral | ap and lateral | frontal and lateral | pa and left lateral | ap lateral | lateral view |
    lateral views | lateral radiograph | lateral radiographs | lateral film | lateral image | lateral images |
    lateral projection | lateral chest | upright and lateral | and lateral views | posteroanterior and lateral |
    anterior posterior | in the interval | interval xxxx | chest radiograph | chest radiographs | chest x-ray |
    chest x-rays | chest film | chest x | chest films | chest ct | ct chest | ct of the chest | soft tissue technique |
    clinical finding | clinical findings | these findings | above findings | critical finding | critical result |
    left and right lateral | lateral decubitus | prior study | prior studies | prior exam | prior examination |
    prior examinations | prior radiograph | prior radiographs | prior chest | prior ct | prior film | prior films |
    prior report | prior imaging | prior comparison | prior comparisons | prior xxxx | prior for comparison | small field |
    degree of inspiration | single view | single frontal | single ap | new york | right now | high resolution | low dose |
    low-dose | normal variant | two views | clear to | at the time | in the setting | free hanging | active treatment |
    further finding | body habitus | patient body
"""
SAID_OF_FILMS: frozenset[tuple[str, ...]] = frozenset(
    tuple(words) for phrase in _SAID_OF_FILMS.split("|") if (words := phrase.split())
)
"""Phrases whose words are not entities: the films, the examination, the clinic."""

PHRASES: Mapping[tuple[str, ...], Kind | None] = {
    **{tuple(phrase.split()): kind for kind, phrases in _PHRASES.items() for phrase in phrases},
    **dict.fromkeys(SAID_OF_FILMS, None),
}
"""Phrases that are one entity, or none."""
