"""Numbers as users give them, to arrays of one floating type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

Numbers = ArrayLike | Sequence[Any]
"""An array, a number, or numbers in lists."""


def floats(*values: Numbers) -> tuple[Any, ...]:
    """Arrays of JAX's default floating type: float64 where it is enabled, else float32."""
    dtype = jax.dtypes.canonicalize_dtype(jnp.float64)
    return tuple(jnp.asarray(value, dtype) for value in values)
