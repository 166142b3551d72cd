"""phantom: a procedural data set whose sources tell what its options say."""

from rrgbench_datasets.phantom.dataset import Phantom

__all__ = ["Phantom"]
