"""How many threads the numerical libraries use, set in one place.

torch, FAISS, numba, Polars and BLAS each keep a pool of their own, sized by the machine's cores even inside a
container that was given two of them. FAISS keeps its threads once it has searched, and they do not survive a fork: a
forked child would wait for them forever. `use_faiss` turns that into an error.
"""

import os
import sys
from pathlib import Path

from configs.errors import KinfolkError

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
REPRODUCIBLE = {"MKL_CBWR": "AUTO,STRICT", "MKL_DYNAMIC": "FALSE"}
"""Without these, MKL under torch splits a product by how many threads it finds free, and the last digits differ from
run to run on a busy machine. Another number of threads may still change them."""
_faiss = {"used": False, "lost": False}
"""Whether this process has used FAISS's threads, and whether the one that it was forked from had."""
os.register_at_fork(after_in_child=lambda: _faiss.update(lost=_faiss["used"]))
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cpus() -> int:
    """Cores that this process may use: its affinity, or the container's quota where that is less; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, int(quota) // int(period))
    except (OSError, ValueError):
        pass  # no control group, or no quota ("max")
    return max(1, cores)


def wished_threads() -> int:
    """What was set before, by the user or by an earlier call, else all cores."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdigit() and int(value) > 0 else available_cpus()


def set_threads(count: int | None = None) -> int:
    """Let each library use `count` threads and return the number; None keeps what was set before, else all cores.

    Libraries that are loaded already are told; those loaded later read the environment, where a number that the
    user has set stays. Nothing is imported for it, so that it costs nothing at the start of every command. Products of
    matrices in torch then have the same bits however busy the machine is, where this comes before the first of them.
    """
    for name, value in REPRODUCIBLE.items():
        os.environ.setdefault(name, value)
    threads = count or wished_threads()
    for name in POOLS:
        if count is None:
            os.environ.setdefault(name, str(threads))
        else:
            os.environ[name] = str(threads)
    loaded = sys.modules
    if "torch" in loaded:
        loaded["torch"].set_num_threads(threads)
    if "faiss" in loaded:
        loaded["faiss"].omp_set_num_threads(threads)
    if "numba" in loaded:
        numba = loaded["numba"]
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    return threads


def use_faiss() -> None:
    """To be called before FAISS searches, learns or adds.

    Raises KinfolkError in a process forked from one that had done so, where it would hang.
    """
    if _faiss["lost"]:
        raise KinfolkError("a search in a forked process would hang; start worker processes with 'spawn'")
    _faiss["used"] = True
