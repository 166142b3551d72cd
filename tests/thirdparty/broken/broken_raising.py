"""Raises at import."""

raise RuntimeError("the third party's own mistake,\non two lines")
