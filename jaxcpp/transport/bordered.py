"""A slope of many blocks tied together by a few shared sources, and Newton's step from it.

The public nodes of a bundle are (product, node) pairs. What a product has of its own ties only its own
nodes: a block. A shared source ties nodes of all products, but there are few of them: a border. So a
step costs one small factor a product and one of the size of the border a bundle, not the cube of all
nodes:

    [ B  -U ] [x]   [r]          B block diagonal, U (nodes, K), D diagonal (K, K)
    [-U'  D ] [y] = [0]          (D - U' B^-1 U) y = U' B^-1 r,   x = B^-1 (r + U y)

Every matrix here is a grounded graph Laplacian, and its diagonal is summed from what it is made of:
the difference of two sums that nearly agree would be rounding error.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcpp.transport.path import RIDGE, Back

REACH_OF_SOURCES = 32.0
"""A shared source moves all the nodes that hang on it: it may go as many times as far as any one of them."""


class Bordered(eqx.Module):
    """`blockdiag(blocks) + diag(border @ 1) - border @ diag(1 / total) @ border.T`.

    `total = idle + border.T @ 1`: all that a shared source could do else. `escape` is what the rows of
    `blocks` sum to; without blocks they are `diag(escape)`. Nodes are numbered `product * n + node` in
    flat vectors.
    """

    blocks: Float[Array, "p n n"] | None
    escape: Float[Array, "p n"]
    border: Float[Array, "p n K"]
    idle: Float[Array, " K"]

    def __add__(self, other: Bordered) -> Bordered:
        """The sum, with the borders of both."""
        blocks = None
        if self.blocks is not None or other.blocks is not None:
            blocks = self._filled() + other._filled()
        return Bordered(
            blocks,
            self.escape + other.escape,
            jnp.concatenate([self.border, other.border], axis=2),
            jnp.concatenate([self.idle, other.idle]),
        )

    def coupled(self, between: Bordered, other: Bordered) -> Bordered:
        """Both slopes side by side in each block, and a diagonal `between` on the difference."""
        first, pull, second = self._filled(), between._filled(), other._filled()
        blocks = jnp.concatenate([
            jnp.concatenate([first + pull, -pull], axis=2),
            jnp.concatenate([-pull, pull + second], axis=2),
        ], axis=1)  # fmt: skip
        beside = jnp.zeros_like(self.border), jnp.zeros_like(other.border)
        borders = [self.border, beside[1]], [beside[0], other.border]
        return Bordered(
            blocks,
            jnp.concatenate([self.escape, other.escape], axis=1),
            jnp.concatenate([jnp.concatenate(part, axis=2) for part in borders], axis=1),
            jnp.concatenate([self.idle, other.idle]),
        )

    def eliminate(
        self, gradient: Float[Array, " N"], drift: Float[Array, " N"]
    ) -> tuple[Float[Array, " N"], Float[Array, ""], Back]:
        """What each node adds of its own to Newton's step, and the way back through the shared sources.

        See `path`, whose scaling and ridge these are.
        """
        shape = self.escape.shape
        gradients = jnp.stack([gradient.reshape(shape), drift.reshape(shape)], axis=2)
        scale, ridge = self._scaling(gradients[:, :, 0])
        moves: Bool[Array, "p n"] = scale > 0.0
        border = self.border * scale[:, :, None]
        leak = self.escape * scale + jnp.where(moves, ridge / jnp.where(moves, scale, 1.0), 0.0)
        known = jnp.concatenate([gradients * scale[:, :, None], leak[:, :, None], border], axis=2)
        root = self._root(scale, ridge)
        # Half the way through the factors is enough: products of halves are products with the inverse.
        half = _forward(root, known)
        first, escaped, through = half[:, :, :2], half[:, :, 2], half[:, :, 3:]
        gram = jnp.einsum("pnk,pnl->kl", through, through)
        others = jnp.maximum(gram, 0.0) * (1.0 - jnp.eye(gram.shape[0], dtype=gram.dtype))
        # What a shared source loses to nodes that stay where they are, it loses for good.
        lost = jnp.sum(jnp.where(moves[:, :, None], 0.0, self.border), axis=(0, 1))
        ground = self.idle + lost + jnp.einsum("pnk,pn->k", through, escaped)
        common = _Grounded.of(others, ground, jnp.einsum("pnk,pnr->kr", through, first))
        pivot = root if root.ndim == 2 else jnp.diagonal(root, axis1=1, axis2=2)
        own = first[:, :, 0] * scale / pivot
        sound = jnp.all(jnp.isfinite(own))
        steepest = gradients[:, :, 0] * scale * scale

        def back(
            kept: Float[Array, " N"], farthest: Float[Array, ""]
        ) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
            held = jnp.where(moves, kept.reshape(shape) * pivot / jnp.where(moves, scale, 1.0), 0.0)
            shared = common.back(farthest)
            both = jnp.stack([held, first[:, :, 1]], axis=2) + jnp.einsum("pnk,kr->pnr", through, shared)
            solved = _backward(root, both) * scale[:, :, None]
            good = sound & jnp.all(jnp.isfinite(solved))
            step, tangent = solved[:, :, 0].reshape(-1), solved[:, :, 1].reshape(-1)
            return jnp.where(good, step, kept), jnp.where(good, tangent, 0.0)

        return jnp.where(sound, own, steepest).reshape(-1), jnp.max(jnp.abs(common.own)), back

    def diagonal(self) -> Float[Array, "p n"]:
        """The diagonal of the whole."""
        total = jnp.sum(self.border, axis=(0, 1)) + self.idle
        others = 1.0 - self.border / jnp.where(total > 0.0, total, 1.0)[None, None, :]
        own = self.escape if self.blocks is None else jnp.diagonal(self.blocks, axis1=1, axis2=2)
        return own + jnp.sum(self.border * others, axis=2)

    def _filled(self) -> Float[Array, "p n n"]:
        if self.blocks is not None:
            return self.blocks
        return self.escape[:, :, None] * jnp.eye(self.escape.shape[1], dtype=self.escape.dtype)[None, :, :]

    def _scaling(self, gradient: Float[Array, "p n"]) -> tuple[Float[Array, "p n"], Float[Array, "p n"]]:
        """Each node's scale (zero: it stays where it is), and what is added to the scaled diagonal."""
        diagonal = self.diagonal()
        precision = jnp.finfo(diagonal.dtype).eps
        least = precision * jnp.max(diagonal)
        stuck = (diagonal <= least) & (jnp.abs(gradient) <= RIDGE * precision)
        root = jnp.maximum(diagonal, jnp.maximum(least, precision * precision))
        scale = jnp.where(stuck, 0.0, jax.lax.rsqrt(root))
        # Factors are of the size of a block and of the border, and so is their rounding.
        size = diagonal.shape[1] + self.idle.shape[0]
        ridge = jnp.maximum(1.0 - diagonal * scale * scale, 0.0) + RIDGE * size * precision
        return scale, ridge + RIDGE * least * scale * scale

    def _root(self, scale: Float[Array, "p n"], ridge: Float[Array, "p n"]) -> Float[Array, "p n ..."]:
        """Each block's Cholesky factor, what it loses to the shared sources included; or its diagonal."""
        added = jnp.sum(self.border, axis=2) * scale * scale + ridge
        if self.blocks is None:
            return jnp.sqrt(self.escape * scale * scale + added)
        eye = jnp.eye(scale.shape[1], dtype=scale.dtype)[None, :, :]
        matrix = self.blocks * scale[:, :, None] * scale[:, None, :] + added[:, :, None] * eye
        return jax.vmap(jnp.linalg.cholesky)(matrix)


def _forward(root: Float[Array, "p n ..."], right: Float[Array, "p n r"]) -> Float[Array, "p n r"]:
    if root.ndim == 2:
        return right / root[:, :, None]
    return jax.lax.linalg.triangular_solve(root, right, left_side=True, lower=True)


def _backward(root: Float[Array, "p n ..."], right: Float[Array, "p n r"]) -> Float[Array, "p n r"]:
    if root.ndim == 2:
        return right / root[:, :, None]
    return jax.lax.linalg.triangular_solve(root, right, left_side=True, lower=True, transpose_a=True)


class _Grounded(eqx.Module):
    """`(diag(others @ 1 + ground) - others) y = right`, half solved; a source that has nothing stays."""

    factor: Float[Array, "K K"]
    scale: Float[Array, " K"]
    half: Float[Array, "K 2"]

    @staticmethod
    def of(others: Float[Array, "K K"], ground: Float[Array, " K"], right: Float[Array, "K 2"]) -> _Grounded:
        """Factor, and go half the way."""
        diagonal = jnp.sum(others, axis=1) + jnp.maximum(ground, 0.0)
        scale = jnp.where(diagonal > 0.0, jax.lax.rsqrt(jnp.where(diagonal > 0.0, diagonal, 1.0)), 0.0)
        eye = jnp.eye(diagonal.shape[0], dtype=diagonal.dtype)
        ridge = RIDGE * diagonal.shape[0] * jnp.finfo(diagonal.dtype).eps
        factor = jnp.linalg.cholesky((1.0 + ridge) * eye - others * scale[:, None] * scale[None, :])
        return _Grounded(
            factor, scale, jax.scipy.linalg.solve_triangular(factor, right * scale[:, None], lower=True)
        )

    @property
    def own(self) -> Float[Array, " K"]:
        """What each source adds of its own to the step."""
        return self.half[:, 0] * self.scale / jnp.diagonal(self.factor)

    def back(self, farthest: Float[Array, ""]) -> Float[Array, "K 2"]:
        """The other half; in the first column no source adds more of its own than REACH_OF_SOURCES allows."""
        pivot = jnp.diagonal(self.factor)
        most = REACH_OF_SOURCES * farthest * pivot / jnp.where(self.scale > 0.0, self.scale, 1.0)
        held = self.half.at[:, 0].set(jnp.clip(self.half[:, 0], -most, most))
        solved = jax.scipy.linalg.solve_triangular(self.factor, held, lower=True, trans=1)
        return solved * self.scale[:, None]
