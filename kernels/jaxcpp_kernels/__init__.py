"""Native kernels for jaxcpp, called inside `jax.jit` through XLA's foreign function interface.

For the CPU, and for CUDA devices where there was a CUDA compiler. Optional: where no library was built,
`available()` is False, `why_not()` says why, and jaxcpp takes its pure-JAX path. Everything here has a
twin there with the same meaning; the kernels only look for prices and plans, what they are worth is certified
in JAX. Nothing here imports jaxcpp, and importing this does not import JAX.
"""

from __future__ import annotations

from jaxcpp_kernels.answers import Reply, respond
from jaxcpp_kernels.library import available, register, why_not
from jaxcpp_kernels.paths import Path, Side, solve_living, solve_path
from jaxcpp_kernels.rounds import Stand, play

__all__ = [
    "Path",
    "Reply",
    "Side",
    "Stand",
    "available",
    "play",
    "register",
    "respond",
    "solve_living",
    "solve_path",
    "why_not",
]
