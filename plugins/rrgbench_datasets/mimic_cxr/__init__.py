"""MIMIC-CXR in its own layout."""

from rrgbench_datasets.mimic_cxr.dataset import MIMICCXR

__all__ = ["MIMICCXR"]
