"""A platform that is up, and people who use it: what tests of the running platform share."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_kernel_client import JupyterKernelClient
from rich.console import Console

from infra.local import lifecycle
from infra.local.hub_user import HubUser
from infra.local.report import Report
from infra.local.run import HOST, Run
from infra.local.service_settings import service_settings
from infra.local.state import StateDirectory
from infra.services.settings import ServiceSettings


@dataclass
class Person:
    """A user of the platform with a running server and a notebook to type code into."""

    account: HubUser
    kernel: JupyterKernelClient

    @property
    def name(self) -> str:
        """The user name."""
        return self.account.name

    def runs(self, code: str, *, seconds: float = 120) -> str:
        """Run code in the person's notebook and return what it prints; fail with its error."""
        reply = self.kernel.execute(code, timeout=seconds)
        text = "".join(o["text"] for o in reply["outputs"] if o.get("name") == "stdout")
        if reply["status"] != "ok":
            errors = [o for o in reply["outputs"] if o["output_type"] == "error"]
            pytest.fail(f"{self.name}'s code failed: {errors[0]['ename']}: {errors[0]['evalue']}")
        return text

    def gets_error(self, code: str) -> str:
        """Run code that must fail in the person's notebook and return the error."""
        reply = self.kernel.execute(code, timeout=120)
        errors = [o for o in reply["outputs"] if o["output_type"] == "error"]
        assert errors, f"this should have been refused, but {self.name} could run it:\n{code}"
        return f"{errors[0]['ename']}: {errors[0]['evalue']}"


@dataclass
class Platform:
    """A platform that is up, seen from outside."""

    run: Run
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def settings(self) -> ServiceSettings:
        """What the hub and Dask Gateway are told."""
        return service_settings(self.run)

    def login(self, name: str) -> HubUser:
        """Log in as a user."""
        return HubUser(self.run.url, name, self.run.state.load_secrets().user_password)

    def person(self, name: str) -> Person:
        """Return a user who is logged in, with a server and a notebook; made at first use."""
        if name not in self.people:
            account = self.login(name)
            account.start_server()
            kernel = account.kernel()
            kernel.start()
            self.people[name] = Person(account, kernel)
        return self.people[name]

    def leave(self, name: str) -> None:
        """End a person's notebook and server."""
        person = self.people.pop(name)
        person.kernel.stop()
        person.account.stop_server()
        person.account.log_out()


def bring_up(root: Path) -> Run:
    """Bring a platform up in a state directory."""
    return lifecycle.start(StateDirectory(root), Report(Console(quiet=True)))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Give the platform that most tests share."""
    root = tmp_path_factory.mktemp("platform")
    shared = Platform(bring_up(root))
    try:
        yield shared
    finally:
        for name in list(shared.people):
            shared.leave(name)
        lifecycle.stop(shared.run.state)


@pytest.fixture
def ada(platform: Platform) -> Person:
    """Give a user with a notebook; her clusters of an earlier test are gone."""
    person = platform.person("ada")
    person.runs(
        "from dask_gateway import Gateway\n"
        "gateway = Gateway()\n"
        "for report in gateway.list_clusters():\n"
        "    gateway.stop_cluster(report.name)\n"
        "import time\n"
        "while gateway.list_clusters(): time.sleep(0.1)\n"
    )
    return person


@pytest.fixture
def bob(platform: Platform) -> Person:
    """Give another user with a notebook."""
    return platform.person("bob")


STATE = "a state"
"""Name of the state directory of a test; with spaces, as paths of users have."""

Pangeo = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def pangeo(tmp_path: Path) -> Iterator[Pangeo]:
    """Give the command `pangeo` with a state directory of its own, taken down in the end."""
    state = tmp_path / STATE

    def run(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "infra.local.cli", *arguments, "--state", str(state)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=240, check=False, **options
        )

    yield run
    lifecycle.stop(StateDirectory(state))


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Give a port that another program listens on."""
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        yield int(holder.getsockname()[1])
