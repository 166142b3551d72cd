"""The user's own data set, from a table."""

from rrgbench_datasets.table.dataset import Table

__all__ = ["Table"]
