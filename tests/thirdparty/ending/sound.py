"""A protocol that cannot be faulted."""

from typing import ClassVar

import rrgbench


class Shout:
    """Upper case on both sides."""

    changes_references: ClassVar[bool] = True

    def prepare(self, text, side):
        return text.upper()


@rrgbench.hookimpl
def rrgbench_protocols():
    return {"shout": Shout}
