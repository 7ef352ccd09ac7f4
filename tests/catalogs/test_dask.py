"""A machine without loopback networking, or a scheduler that does not answer, is one clear line."""

import socket

import pytest

from astraclr.catalogs import _dask


def test_without_a_loopback_network_nothing_starts(monkeypatch):
    pytest.importorskip("distributed", reason="needs the extra data")

    def unreachable(*_, **__):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(OSError, match=r"loopback address 127.0.0.1, which does not work here .*--workers 1"):
        with _dask.cluster(2):
            raise AssertionError("a cluster was started")


def test_a_scheduler_that_does_not_answer_is_named():
    def client(address, timeout):
        raise OSError(f"Timed out trying to connect to {address} after {timeout}")

    with pytest.raises(
        OSError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 .*start one with `dask scheduler`"
    ):
        _dask._connected(client, "tcp://127.0.0.1:9")


def test_without_a_client_calls_are_made_here():
    assert list(_dask.as_done(None, divmod, [(7, 2), (9, 4)])) == [(3, 1), (2, 1)]
