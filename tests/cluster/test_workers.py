"""Each worker of this machine has cores and a device of its own."""

from __future__ import annotations

import os

import pytest

from jaxcpp.cluster import workers as module


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Four cores, and as many GPUs as are asked for; what each worker takes of them."""
    held: dict[str, set[int]] = {}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: held.update(cores=set(cores)))

    def taken(number, workers, gpus=0, **environment):
        folder = tmp_path / f"gpus-{gpus}"
        for at in range(gpus):
            (folder / f"0000:0{at}:00.0").mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(module, "GPUS", folder)
        for name in ("CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        module._take_share(number, workers)
        return held["cores"], *map(os.environ.get, ("CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_MEM_FRACTION"))

    return taken


def test_cores_are_shared_out(machine):
    assert [machine(number, 2)[0] for number in range(2)] == [{0, 2}, {1, 3}]
    assert [machine(number, 8)[0] for number in range(8)] == [{0}, {1}, {2}, {3}] * 2


def test_every_worker_has_a_gpu_of_its_own(machine):
    assert [machine(number, 4, gpus=4)[1:] for number in range(4)] == [(str(at), None) for at in range(4)]
    assert [machine(number, 2, gpus=4)[1:] for number in range(2)] == [("0", None), ("1", None)]


def test_those_that_somebody_chose_are_shared_out_and_no_others(machine):
    chosen = {"CUDA_VISIBLE_DEVICES": "3,GPU-5f"}
    assert [machine(number, 2, gpus=4, **chosen)[1] for number in range(2)] == ["3", "GPU-5f"]
    assert machine(1, 2, gpus=4, CUDA_VISIBLE_DEVICES="")[1:] == ("", None)


def test_workers_on_one_gpu_share_its_memory(machine):
    assert [machine(number, 4, gpus=2)[1:] for number in range(4)] == [
        ("0", "0.375"), ("1", "0.375"), ("0", "0.375"), ("1", "0.375"),
    ]  # fmt: skip
    assert machine(0, 3, gpus=1, XLA_PYTHON_CLIENT_MEM_FRACTION="0.1")[2] == "0.1"


def test_a_machine_without_gpus(machine):
    assert machine(1, 2)[1:] == (None, None)
