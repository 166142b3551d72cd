"""First-party encoders of the knowledge graph."""

from __future__ import annotations

import rrgbench
from rrgbench_knowledge_encoders.encoders import Gat, Gcn


@rrgbench.hookimpl
def rrgbench_knowledge_encoders() -> dict[str, type]:
    return {"gcn": Gcn, "gat": Gat}
