"""The only registry: names -> factories and their schemas. Planning reads descriptions; only workers import plugins."""

from rrgbench.catalogue.component import Component
from rrgbench.catalogue.registry import Catalogue, cache_folder, did_you_mean
from rrgbench.catalogue.schema import Spec, words

__all__ = ["Catalogue", "Component", "Spec", "cache_folder", "did_you_mean", "words"]
