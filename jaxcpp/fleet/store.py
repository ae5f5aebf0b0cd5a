"""Where a bucket's lanes lie while it is solved, and how some of them are taken out and put back.

On a CPU they are numpy arrays, changed in place. Any other device keeps them in its own memory from
the first step to the last: only what the caller looks at comes back to the host.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcpp.fleet.contracts import Index

NOWHERE = np.iinfo(np.int32).max
"""Index of a lane that only fills its batch up."""


def devices() -> list[jax.Device]:
    """What the lanes of a batch are shared out over: the device chosen, or all that there are here."""
    config: Any = jax.config
    default = config.jax_default_device
    return [default] if isinstance(default, jax.Device) else jax.local_devices()


def away() -> bool:
    """Whether the lanes lie on a device with a memory of its own; several are fed from the host."""
    return jax.default_backend() != "cpu" and len(devices()) == 1


def place(tree: Any) -> Any:
    """Move a bucket's arrays to where its programs run."""
    return jax.block_until_ready(jax.device_put(tree)) if away() else tree


def count(tree: Any) -> int:
    """How many lanes a tree of arrays holds."""
    return int(jax.tree.leaves(tree)[0].shape[0])


def take(tree: Any, index: Index) -> Any:
    """The lanes `index` of a tree."""
    if not isinstance(jax.tree.leaves(tree)[0], jax.Array):
        return jax.tree.map(lambda leaf: leaf[index], tree)
    if len(index) == count(tree) and bool(np.all(index == np.arange(len(index)))):
        return tree
    return _gather(tree, np.asarray(index, np.int32))


def mine(tree: Any) -> Any:
    """A tree whose lanes may be replaced by `put` without the other being changed."""
    return jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.array(leaf), tree)


def put(into: Any, batch: Any, index: Index, lanes: int) -> Any:
    """`into` with some of its `lanes` replaced by those of a batch; the old tree is not to be used again.

    Where there is no `into` yet, its other lanes are zero. What belongs `NOWHERE` is dropped; other indices
    that come more than once must come with the same values.
    """
    away_from_host = isinstance(jax.tree.leaves(batch)[0], jax.Array)
    if away_from_host and len(index) == lanes and bool(np.all(index == np.arange(lanes))):
        return batch
    if into is None:
        zeros = jnp.zeros if away_from_host else np.zeros
        into = jax.tree.map(lambda leaf: zeros((lanes, *leaf.shape[1:]), leaf.dtype), batch)
    if away_from_host:
        return _scatter(into, batch, np.asarray(index, np.int32))
    kept = index < NOWHERE
    some: Index | slice = slice(None) if kept.all() else np.flatnonzero(kept)
    for target, source in zip(jax.tree.leaves(into), jax.tree.leaves(batch), strict=True):
        target[index[some]] = source[some]
    return into


def fetch(tree: Any) -> Any:
    """A tree with its arrays on the host."""
    return jax.device_get(tree)


@jax.jit
def _gather(tree: Any, index: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: jnp.take(leaf, index, axis=0, mode="clip"), tree)


@jax.jit
def _scatter(into: Any, batch: Any, index: jax.Array) -> Any:
    return jax.tree.map(lambda leaf, new: leaf.at[index].set(new, mode="drop"), into, batch)
