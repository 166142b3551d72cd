"""Small trees in the real layout of each data set, made by code from phantom's studies: readers are tested without data.

Loaded by path: ``tests`` is no package. ``phantom_studies`` gives the studies, a writer lays them out.
"""

from .benchmarks import CHEXPERT_LABELS, CHEXPERT_TABLE, write_chexpert, write_rexrank
from .indiana import iu_split, openi_members, write_iu_r2gen, write_kaggle, write_openi, write_openi_archive
from .mimic import MimicStudy, mimic_studies, report_text, write_mimic, write_r2gen, write_reports_zip, write_sectioned
from .studies import PhantomStudy, copy_film, phantom_studies
from .tables import FILMS, write_csv, write_jsonl, write_parquet

__all__ = [
    "CHEXPERT_LABELS",
    "CHEXPERT_TABLE",
    "FILMS",
    "MimicStudy",
    "PhantomStudy",
    "copy_film",
    "iu_split",
    "mimic_studies",
    "openi_members",
    "phantom_studies",
    "report_text",
    "write_chexpert",
    "write_csv",
    "write_iu_r2gen",
    "write_jsonl",
    "write_kaggle",
    "write_mimic",
    "write_openi",
    "write_openi_archive",
    "write_parquet",
    "write_r2gen",
    "write_reports_zip",
    "write_rexrank",
    "write_sectioned",
]
