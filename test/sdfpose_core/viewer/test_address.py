"""Where the viewer listens."""

from __future__ import annotations

import socket

import pytest

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.viewer.address import DEFAULT_PORT, Address, free_address


@pytest.fixture
def taken():
    """A port of this machine that a program listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_the_default_is_a_free_port_of_this_machine_alone():
    address = free_address()
    assert address.host == "127.0.0.1"
    assert DEFAULT_PORT <= address.port < DEFAULT_PORT + 20


def test_a_named_port_in_use_is_an_error(taken):
    with pytest.raises(ConfigurationError, match=f"port {taken} of 127.0.0.1 is in use"):
        free_address(port=taken)


def test_the_next_port_is_taken_where_the_first_is_in_use(taken, monkeypatch):
    monkeypatch.setattr("sdfpose_core.viewer.address.DEFAULT_PORT", taken)
    assert free_address().port > taken


def test_a_host_that_is_none_of_this_machine_is_an_error():
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1"):
        free_address("192.0.2.1", 8080)


def test_local_addresses_tell_of_a_tunnel():
    lines = Address("127.0.0.1", 8081).lines()
    assert lines[0] == "viewer: open http://127.0.0.1:8081"
    assert "ssh -N -L 8081:127.0.0.1:8081 " in lines[1]


def test_an_address_for_all_networks_names_the_machine():
    address = Address("0.0.0.0", 8080)
    assert address.url == f"http://{socket.gethostname()}:8080"
    assert len(address.lines()) == 1
    assert Address("::1", 80).url == "http://[::1]:80"
