"""Exact answers by linear programming, written apart from the package they judge."""

from tests.oracles.lp import (
    best_choice,
    best_jit,
    best_jit_utility,
    best_part,
    best_paying,
    is_feasible,
    joint_optimum,
    retailer_utility,
    supplier_status_quo,
    supplier_utility,
)
from tests.oracles.problem import Problem, toy

__all__ = [
    "Problem",
    "best_choice",
    "best_jit",
    "best_jit_utility",
    "best_part",
    "best_paying",
    "is_feasible",
    "joint_optimum",
    "retailer_utility",
    "supplier_status_quo",
    "supplier_utility",
    "toy",
]
