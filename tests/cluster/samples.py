"""Fleets to cut, and places to keep them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import numpy as np
from pyarrow import fs

from tests.coupled import Kind, random_coupled, tables_of
from tests.fleets import Sample, Size, from_problems, random_sample
from tests.strategies import Options, build

LAST_WEEK = 2


def mixed(seed: int = 9, contracts: int = 14) -> Sample:
    """Contracts that stand alone among bundles; one bundle's vendors are the first and the last by name.

    General lanes beside own ones, sources of some products only, demand in the last week of a few products.
    """
    sample = random_sample(seed, contracts, Size(inbound=3, regions=4, sources=2, weeks=LAST_WEEK + 1))
    several = Kind(products=2, vendors=2, every=True, weeks=LAST_WEEK, flags={"lost_sales": True})
    bundles = {
        "several-": random_coupled(3, several),
        "also-": random_coupled(8, Kind(products=1, vendors=3, every=True, weeks=LAST_WEEK)),
        "shared-": random_coupled(3, Kind(products=3, weeks=LAST_WEEK)),
    }
    names = {"several-vendor-0": "a: first %", "several-vendor-1": "zz last"}
    for table, rows in tables_of(bundles).rows.items():
        for row in rows:
            if "vendor_id" in row:
                row["vendor_id"] = names.get(row["vendor_id"], row["vendor_id"])
            sample.add((table, row))
    return sample


def alone(contracts: int = 7) -> Sample:
    """Small contracts of one shape that stand alone; only the first is asked for in the last week."""
    problems = {}
    for at in range(contracts):
        problem = build(Options(inbound=2, regions=2, sources=1, weeks=2, lost_sales=True, seed=at))
        problem.demand[:, 0] = np.maximum(problem.demand[:, 0], 1.0)
        problem.demand[:, 1] = 2.0 if at == 0 else 0.0
        problem.capacity[:] = 40.0 + at
        problems[f"p{at}"] = problem
    return from_problems(problems)


class Spoilt(fs.FileSystemHandler):
    """A filesystem that hands every call to another, but for files that `full` says the disk is full for."""

    def __init__(self, inner: fs.FileSystem, full: Callable[[str], bool] = lambda _: False) -> None:
        self.inner, self.full = inner, full

    def get_type_name(self) -> str:
        return "spoilt"

    def get_file_info(self, paths: list[str]) -> Any:
        return self.inner.get_file_info(paths)

    def get_file_info_selector(self, selector: Any) -> Any:
        return self.inner.get_file_info(selector)

    def create_dir(self, path: str, recursive: bool) -> None:
        self.inner.create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self.inner.delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self.inner.delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError

    def delete_file(self, path: str) -> None:
        self.inner.delete_file(path)

    def move(self, src: str, dest: str) -> None:
        self.inner.move(src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        self.inner.copy_file(src, dest)

    def open_input_stream(self, path: str) -> Any:
        return self.inner.open_input_stream(path, compression=None)

    def open_input_file(self, path: str) -> Any:
        return self.inner.open_input_file(path)

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        if self.full(path):
            self.inner.open_output_stream(path, compression=None).close()  # half of a file is left
            raise OSError(errno.ENOSPC, "no space left on device")
        return self.inner.open_output_stream(path, metadata=metadata, compression=None)

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        raise NotImplementedError

    def normalize_path(self, path: str) -> str:
        return str(self.inner.normalize_path(path))
