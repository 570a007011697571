"""Operations that only generated loops use: the steps of reductions that scalarise makes.

They mean what `+`, `maximum` and `minimum` mean, but their order may be changed by the compiler, which
vectorises the loop. The user's own loops keep the operations they were written with.
"""

from __future__ import annotations

import numpy as np

from ..ir.ops import arith
from ..ir.ops.declare import elementwise, same_dtype

radd = elementwise(
    "radd", "radd({0}, {1})", np.add, arith.add.partials or (), source="support.radd({0}, {1})",
    linear=(0, 1), sympy="{0} + {1}",
)  # fmt: skip
rmax = elementwise(
    "rmax", "rmax({0}, {1})", np.maximum, arith.maximum.partials or (), source="support.rmax({0}, {1})",
    result=same_dtype, sympy="Max({0}, {1})",
)  # fmt: skip
rmin = elementwise(
    "rmin", "rmin({0}, {1})", np.minimum, arith.minimum.partials or (), source="support.rmin({0}, {1})",
    result=same_dtype, sympy="Min({0}, {1})",
)  # fmt: skip
