"""Small trees in the real layout of each data set, made by code from phantom's studies: readers are tested without data.

Loaded by path: ``tests`` is no package. ``phantom_studies`` gives the studies, a writer lays them out.
"""

from .mimic import MimicStudy, mimic_studies, report_text, write_mimic, write_r2gen, write_reports_zip, write_sectioned
from .studies import PhantomStudy, copy_film, phantom_studies
from .tables import FILMS, write_csv, write_jsonl, write_parquet

__all__ = [
    "FILMS",
    "MimicStudy",
    "PhantomStudy",
    "copy_film",
    "mimic_studies",
    "phantom_studies",
    "report_text",
    "write_csv",
    "write_jsonl",
    "write_mimic",
    "write_parquet",
    "write_r2gen",
    "write_reports_zip",
    "write_sectioned",
]
