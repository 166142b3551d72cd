"""CheXpert Plus's table with its labels, and ReXrank's JSON of three splits; films beside them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .studies import PhantomStudy, copy_film

CHEXPERT_TABLE, CHEXPERT_LABELS = "df_chexpert_plus_240401.csv", "chexbert_labels/findings_fixed.json"
_FINDINGS = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)


def write_chexpert(root: Path, studies: Sequence[PhantomStudy]) -> Path:
    """A row a film, the films below ``PNG/``, and published labels of the findings, an object a line."""
    rows, labels = [], []
    for one in studies:
        split, patient = "valid" if one.split == "test" else "train", f"patient{one.subject + 1:05}"
        for place, (film, view) in enumerate(one.films, start=1):
            path = f"{split}/{patient}/study{one.number + 1}/view{place}_{view}"
            copy_film(film, root / "PNG" / f"{path}.png")
            rows.append(
                {
                    "path_to_image": f"{path}.jpg",
                    "frontal_lateral": view.capitalize(),
                    "ap_pa": "AP" if view == "frontal" else "",
                    "deid_patient_id": patient,
                    "patient_report_date_order": one.number + 1,
                    "section_clinical_history": one.context,
                    "section_history": "",
                    "section_findings": f"\n{one.report}",
                    "section_impression": "Nothing acute.",
                    "split": split,
                }
            )
            labels.append({"path_to_image": f"{path}.jpg", **dict.fromkeys(_FINDINGS), "Edema": 1.0, "Fracture": -1.0})
    with (root / CHEXPERT_TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (root / CHEXPERT_LABELS).parent.mkdir()
    (root / CHEXPERT_LABELS).write_text("".join(f"{json.dumps(label)}\n" for label in labels), encoding="utf-8")
    return root


def write_rexrank(root: Path, studies: Sequence[PhantomStudy]) -> Path:
    """``test.json``, ``valid.json`` and ``train.json``: studies by id, the films below ``images/``."""
    files: dict[str, dict[str, Any]] = {"train": {}, "validate": {}, "test": {}}
    for one in studies:
        name = f"patient{one.subject + 1:05}_study{one.number + 1}"
        paths = [f"{name}/{place}.png" for place in range(len(one.films))]
        for path, (film, _) in zip(paths, one.films, strict=True):
            copy_film(film, root / "images" / path)
        files[one.split][name] = {
            "key_image_path": paths[0],
            "image_path": paths,
            "frontal_lateral": [view.capitalize() for _, view in one.films],
            "section_findings": one.report,
            "section_impression": "Nothing acute.",
            "context": f"Indication: {one.context}",
        }
    for split, content in files.items():
        (root / f"{'valid' if split == 'validate' else split}.json").write_text(json.dumps(content), encoding="utf-8")
    return root
