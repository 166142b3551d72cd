"""The only registry: names -> factories and their schemas. Planning reads descriptions; only workers import plugins."""

from rrgbench.catalogue.component import Component
from rrgbench.catalogue.hints import did_you_mean
from rrgbench.catalogue.installed import cache_folder
from rrgbench.catalogue.registry import Catalogue
from rrgbench.catalogue.schema import words
from rrgbench.catalogue.signature import Spec

__all__ = ["Catalogue", "Component", "Spec", "cache_folder", "did_you_mean", "words"]
