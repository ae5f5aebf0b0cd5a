"""Files: the tables of a fleet and of a run, read, checked and written. No JAX, no solving."""

from __future__ import annotations

from jaxcpp.tables.menus import read_plans, write_menu
from jaxcpp.tables.places import Place, PlaceError, place
from jaxcpp.tables.problems import FleetError, Problem
from jaxcpp.tables.read import check_fleet, read_fleet
from jaxcpp.tables.rolls import ResumeError, begin_roll, finish_roll, read_week, whole_weeks, write_week
from jaxcpp.tables.runs import (
    RunFolderError,
    check_run_folder,
    read_prices,
    read_run,
    run_columns,
    write_page,
    write_run,
)
from jaxcpp.tables.sides import read_side
from jaxcpp.tables.summary import describe
from jaxcpp.tables.sweeps import write_sweep, write_tune
from jaxcpp.tables.write_fleet import write_fleet

__all__ = [
    "FleetError",
    "Place",
    "PlaceError",
    "Problem",
    "ResumeError",
    "RunFolderError",
    "begin_roll",
    "check_fleet",
    "check_run_folder",
    "describe",
    "finish_roll",
    "place",
    "read_fleet",
    "read_plans",
    "read_prices",
    "read_run",
    "read_side",
    "read_week",
    "run_columns",
    "whole_weeks",
    "write_fleet",
    "write_menu",
    "write_page",
    "write_run",
    "write_sweep",
    "write_tune",
    "write_week",
]
