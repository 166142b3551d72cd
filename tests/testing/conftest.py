"""How the tests of the contracts try a wrong component."""

from __future__ import annotations

from typing import Any

import pytest

from rrgbench.testing import checks


class Failing:
    """Called with a kind, a component and a part of a check's name: the sentence that this check fails with."""

    def __call__(self, kind: str, component: Any, check: str, **attributes: Any) -> str:
        found = [name for name in checks(kind, component, **attributes) if check in name]
        assert len(found) == 1, f"{check!r} names {found}"
        with pytest.raises(AssertionError) as caught:
            checks(kind, component, **attributes)[found[0]]()
        return str(caught.value)


@pytest.fixture
def failing() -> Failing:
    return Failing()
