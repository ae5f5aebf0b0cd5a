"""Numbers as users give them, to arrays of one floating type."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def floats(*values: ArrayLike) -> tuple[Any, ...]:
    """Arrays of JAX's default floating type: float64 where it is enabled, else float32."""
    dtype = jax.dtypes.canonicalize_dtype(jnp.float64)
    return tuple(jnp.asarray(value, dtype) for value in values)
