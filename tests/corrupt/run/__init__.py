"""A systematic run of damage: every data set that reads files x every kind of file in its tree x every kind of damage.

Loaded by path: ``tests`` is no package. ``TREES`` are right trees; ``damages_of`` gives what can happen to a file of one;
``CASES`` is their product, ``TOLERATED`` what of it rightly reads the whole data set.
"""

from .cases import CASES, TOLERATED, Case
from .plain import File
from .trees import TREES, Tree, published, trees_laid

__all__ = ["CASES", "TOLERATED", "TREES", "Case", "File", "Tree", "published", "trees_laid"]
