"""iu_xray: the Indiana University chest X-ray collection in R2Gen's split, from any layout that it comes in."""

from rrgbench_datasets.iu_xray.dataset import IUXray

__all__ = ["IUXray"]
