"""Ends the process that imports it, without a word to Python: as a crash in native code does."""

import os
import sys
from pathlib import Path

if marker := os.environ.get("ENDING_MARKER"):
    Path(marker).touch()
sys.stderr.write("something in native code went wrong\n")
sys.stderr.flush()
os._exit(11)
