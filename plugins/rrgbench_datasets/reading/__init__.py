"""Files of unknown origin, read in bounds. Every data set reads through this room.

A mistake is one line that names file and line or field. No message holds the text of a cell that may be a report.
"""

from rrgbench_datasets.reading.documents import json_objects, parse_json, read_json
from rrgbench_datasets.reading.files import Bounded, decoded, lines, open_text, read_text
from rrgbench_datasets.reading.films import SUFFIXES, Films, stem
from rrgbench_datasets.reading.names import first_file, inside
from rrgbench_datasets.reading.tables import MOST_ROWS, csv_rows
from rrgbench_datasets.reading.texts import Mistakes, checked_text, kind_of, one_line, told

__all__ = [
    "MOST_ROWS",
    "SUFFIXES",
    "Bounded",
    "Films",
    "Mistakes",
    "checked_text",
    "csv_rows",
    "decoded",
    "first_file",
    "inside",
    "json_objects",
    "kind_of",
    "lines",
    "one_line",
    "open_text",
    "parse_json",
    "read_json",
    "read_text",
    "stem",
    "told",
]
