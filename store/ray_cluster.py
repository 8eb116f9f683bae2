"""The Ray cluster that work is given to, where one is used: connected quietly, and left as it was found."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from configs.errors import InputError
from store.threads import POOLS, REPRODUCIBLE, available_cpus

OBJECTS = 100 << 20
"""Bytes of Ray's object store in a cluster that is started here: what goes through Ray is small, data is on disk."""

CONNECT_S = 10.0


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """The module `ray`, connected to the cluster of RAY_ADDRESS, or to one on this machine where it is not set.

    A connection that stands already is used and kept. Raises InputError where Ray is not installed, or where no
    cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise InputError(
            "--engine ray: Ray is not installed; `pip install 'kinfolk[ray]'` brings it, or leave the option out to "
            "work on this machine alone"
        ) from None
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _answers(address)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    here = {"num_cpus": available_cpus(), "include_dashboard": False, "object_store_memory": OBJECTS}
    try:
        ray.init(**(quiet | ({"address": address} if address else here | {"address": "local"})))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _no_cluster(address or "local", error) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _answers(address: str) -> None:
    """Refuse an address where nobody listens, at once: Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # such as "auto", which Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except OSError as error:
        raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> InputError:
    reason = str(error).strip().partition("\n")[0][:200]
    return InputError(
        f"RAY_ADDRESS {address}: no Ray cluster answers there ({reason}); start one with `ray start --head`, correct "
        "the address, or take --engine local"
    )


def worker_environment() -> dict[str, str]:
    """Settings of this process that a worker needs from its start to compute the same bits."""
    return {name: os.environ[name] for name in (*POOLS, *REPRODUCIBLE) if name in os.environ}
