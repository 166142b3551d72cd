from rrgbench_gated import Gated

from rrgbench.testing import FusionContract


class TestGated(FusionContract):
    component = Gated
