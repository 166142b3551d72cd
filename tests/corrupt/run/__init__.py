"""A systematic run of damage: every data set that reads files x every kind of file in its tree x every kind of damage.

Loaded by path: ``tests`` is no package. ``TREES`` are right trees; ``CASES`` is the product of
their files and what can happen to each, ``TOLERATED`` what of it is rightly read, with the reason.
"""

from .cases import CASES, TOLERATED, Case, names_the_file
from .plain import File
from .trees import TREES, Tree, published, trees_laid

__all__ = ["CASES", "TOLERATED", "TREES", "Case", "File", "Tree", "names_the_file", "published", "trees_laid"]
