"""Setting threads: what is loaded is told, what is not is not loaded for it."""

import os
import subprocess
import sys
from pathlib import Path

import store
from store.threads import available_cpus

SCRIPT = """
import os, sys
from store.threads import POOLS, set_threads
assert set_threads(1) == 1
assert not {"torch", "faiss", "numba", "polars"} & set(sys.modules)
assert all(os.environ[name] == "1" for name in POOLS)
import faiss, torch
assert (faiss.omp_get_max_threads(), torch.get_num_threads()) == (1, 1)
set_threads(2)
assert (faiss.omp_get_max_threads(), torch.get_num_threads()) == (2, 2)
os.environ["OMP_NUM_THREADS"] = "7"
set_threads()
assert os.environ["OMP_NUM_THREADS"] == "7"
"""


def test_threads_are_set_for_what_is_loaded_and_what_comes() -> None:
    """In a process of its own, since the setting is the process's."""
    home = {**os.environ, "PYTHONPATH": str(Path(store.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=home, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_at_least_one_core_is_there() -> None:
    """And no more than the machine has."""
    assert 1 <= available_cpus() <= (os.cpu_count() or 1)
