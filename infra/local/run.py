"""What one run of the platform consists of: its state, secrets, ports and places of programs."""

import json
import os
import socket
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.local.errors import PlatformError
from infra.local.state import StateDirectory, write_private

RUN_FILE_VARIABLE = "PANGEO_RUN_FILE"
"""Tells the configuration files of the components where the description of the run lies."""

HOST = "127.0.0.1"
"""The one address that anything of the platform listens on."""

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOK_IMAGE = PROJECT / "images" / "notebook"
NOTEBOOK_ENVIRONMENT_VARIABLE = "PANGEO_NOTEBOOK_ENVIRONMENT"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The ports of a run, all of them on HOST."""

    public: int
    proxy_api: int
    hub_api: int
    dask_gateway_api: int
    dask_gateway_proxy: int
    dask_dashboard_login: int
    s3: int
    s3_grpc: int
    filer: int
    filer_grpc: int
    volume: int
    volume_grpc: int
    master: int
    master_grpc: int
    object_store_admin: int
    object_store_admin_grpc: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the platform. Written to the state directory, read by every component."""

    state: StateDirectory
    ports: Ports
    services: Path
    """Directory of the programs of the hub, the proxy, the object store and Dask Gateway."""
    notebook: Path
    """Directory of the programs of the user's environment."""

    @property
    def url(self) -> str:
        """Where users find the hub."""
        return f"http://{HOST}:{self.ports.public}"

    @property
    def hub_api_url(self) -> str:
        """Where components find the API of the hub."""
        return f"http://{HOST}:{self.ports.hub_api}/hub/api"

    @property
    def dask_gateway_url(self) -> str:
        """Where users and components find the API of Dask Gateway."""
        return f"http://{HOST}:{self.ports.dask_gateway_proxy}/services/dask-gateway"

    @property
    def s3_url(self) -> str:
        """Where everybody finds the S3 API of the object store."""
        return f"http://{HOST}:{self.ports.s3}"

    def program(self, directory: Path, name: str) -> str:
        """Return the path of a program. Raises PlatformError if it is missing."""
        path = directory / name
        if not os.access(path, os.X_OK):
            target = "user environment" if directory == self.notebook else "services"
            raise PlatformError(
                f"{name}: no such program in {directory} ({target} of the platform); run 'make "
                "clean environments' to install it again"
            )
        return str(path)

    def save(self) -> None:
        """Write the description of this run to the state directory."""
        write_private(
            self.state.run_file,
            json.dumps(
                {
                    "state": str(self.state.root),
                    "ports": asdict(self.ports),
                    "services": str(self.services),
                    "notebook": str(self.notebook),
                },
                indent=2,
            ),
        )


def plan_run(state: StateDirectory, *, port: int = 0) -> Run:
    """Choose the ports and programs of a new run.

    `port` is the public one; 0 means any free port. Raises PlatformError if it is taken.
    """
    return Run(
        state=state,
        ports=_free_ports(port),
        services=Path(sys.executable).parent,
        notebook=Path(
            os.environ.get(NOTEBOOK_ENVIRONMENT_VARIABLE) or NOTEBOOK_IMAGE / ".venv"
        ).absolute()
        / "bin",
    )


def load_run(run_file: Path | None = None) -> Run:
    """Read the description of a run; by default the one that the environment names.

    Raises FileNotFoundError if none is described there.
    """
    if run_file is None:
        run_file = Path(os.environ[RUN_FILE_VARIABLE])
    described: dict[str, Any] = json.loads(run_file.read_text())
    return Run(
        state=StateDirectory(Path(described["state"])),
        ports=Ports(**described["ports"]),
        services=Path(described["services"]),
        notebook=Path(described["notebook"]),
    )


def _free_ports(public: int) -> Ports:
    with ExitStack() as stack:

        def take(number: int) -> int:
            holder = stack.enter_context(socket.socket())
            # Connections of an earlier run that are still closing do not make a port taken.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((HOST, number))
            return int(holder.getsockname()[1])

        try:
            chosen = take(public)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a port number"
            raise PlatformError(
                f"port {public} of {HOST}: {reason}; stop what uses it, name another one with "
                "PORT=…, or leave PORT out to get a free one"
            ) from error
        others = {name: take(0) for name in Ports.__annotations__ if name != "public"}
        return Ports(public=chosen, **others)
