"""The address of the viewer: a port that is free, and how to reach it from another machine."""

from __future__ import annotations

import errno
import getpass
import socket
from dataclasses import dataclass

from sdfpose_core.errors import ConfigurationError

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "Address", "free_address"]

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8080

_TRIED_PORTS = 20
"""Ports that are tried in turn, unless the user names one."""

_EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Address:
    """Where the viewer listens.

    Attributes:
        host: name or address of the network interface.
        port: TCP port.
    """

    host: str
    port: int

    @property
    def url(self) -> str:
        """The page to open."""
        host = socket.gethostname() if self.host in _EVERYWHERE else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def lines(self) -> list[str]:
        """Tell the user what to open, here and on another machine."""
        lines = [f"viewer: open {self.url}"]
        if self.is_local:
            tunnel = f"{self.port}:{self.host}:{self.port}"
            lines.append(
                f"viewer: from another machine, first run there: ssh -N -L {tunnel} "
                f"{getpass.getuser()}@{socket.gethostname()}"
            )
        return lines


def free_address(host: str = DEFAULT_HOST, port: int | None = None) -> Address:
    """Find a free port.

    Args:
        host: name or address of the network interface to listen on.
        port: the port; None for the first free one from 8080 on.

    Raises:
        ConfigurationError: the port is in use, or the host is none of this machine.
    """
    first = DEFAULT_PORT if port is None else port
    tried = range(first, first + (_TRIED_PORTS if port is None else 1))
    for candidate in tried:
        if _is_free(host, candidate):
            return Address(host, candidate)
    if port is None:
        raise ConfigurationError(
            f"the ports {tried[0]} to {tried[-1]} of {host} are in use: name a free one with --port"
        )
    raise ConfigurationError(
        f"port {port} of {host} is in use: end the program that uses it, name another port, or "
        "leave out --port to get a free one"
    )


def _is_free(host: str, port: int) -> bool:
    """Whether a server can listen there.

    Raises:
        ConfigurationError: it cannot, for another reason than that the port is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise ConfigurationError(
            f"the viewer cannot listen on {host}, port {port}: {error.strerror or error}: expected "
            "an address of this machine (127.0.0.1, or 0.0.0.0 for all networks) and a port that "
            "you may use"
        ) from error
    return True
