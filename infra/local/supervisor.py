"""Keeps the components running: supervisord, told what to run and asked how it goes."""

import os
import subprocess
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from infra.local.errors import PlatformError
from infra.local.run import RUN_FILE_VARIABLE, Run
from infra.local.state import STATE_VARIABLE, StateDirectory, write_private

START_SECONDS = 60
"""How long a component may take to become healthy. The slowest, the hub,
takes 4 to 10 s on 2 cores."""

STOP_SECONDS = 30
"""How long a component may take to end by itself before it is killed. The hub waits up to 10 s for
the servers of its users (JupyterHub.Spawner.term_timeout and kill_timeout)."""


_RETURN_AT_ONCE = False

_TAKEN_DOWN = "the platform was taken down while it came up; bring it up again"


@dataclass(frozen=True, kw_only=True)
class Component:
    """A program of the platform. It counts as started once `health_url` answers with 200.

    A component without such a URL counts as started once it has run for a second.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    health_url: str | None = None


def log_file(state: StateDirectory, name: str) -> Path:
    """Return the path of the log of a component."""
    return state.logs / f"{name}.log"


def is_running(state: StateDirectory) -> bool:
    """Tell whether a supervisor runs for this state directory, be it about to end."""
    try:
        with _supervisor(state) as supervisor:
            supervisor.getState()
    except OSError:
        return False
    except xmlrpc.client.Fault:
        return True  # It answers every question so while it ends its components.
    return True


def launch(run: Run, components: Sequence[Component]) -> None:
    """Start the supervisor, with all components known to it and none of them started.

    Raises PlatformError, with what the supervisor says of it, if it does not come up.
    """
    log = log_file(run.state, "supervisor")
    configuration = run.state.config / "supervisord.conf"
    write_private(configuration, _configuration(run.state, log, components))
    launched = subprocess.run(
        [run.program(run.services, "supervisord"), "--configuration", configuration],
        env={
            **os.environ,
            STATE_VARIABLE: str(run.state.root),
            RUN_FILE_VARIABLE: str(run.state.run_file),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    deadline = time.monotonic() + START_SECONDS
    while not is_running(run.state):
        if launched.returncode != 0 or time.monotonic() > deadline:
            reason = launched.stderr.strip().splitlines() or [last_line(log)]
            raise PlatformError(f"supervisor: did not start: {reason[0]} (see {log})")
        time.sleep(0.05)


def start(run: Run, component: Component) -> None:
    """Start one component and wait until it is healthy.

    Raises PlatformError, with the last line of its log, if it ends or is not healthy in time.
    """
    log = log_file(run.state, component.name)
    try:
        with _supervisor(run.state) as supervisor:
            supervisor.startProcess(component.name, _RETURN_AT_ONCE)
            first = supervisor.getProcessInfo(component.name)["pid"]
            deadline = time.monotonic() + START_SECONDS
            while not _is_healthy(supervisor, component):
                ended = supervisor.getProcessInfo(component.name)["pid"] != first
                if ended or time.monotonic() > deadline:
                    problem = "ended" if ended else f"not healthy after {START_SECONDS} s"
                    raise PlatformError(
                        f"{component.name}: {problem}: {last_line(log)} (see {log})"
                    )
                time.sleep(0.05)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != Faults.SHUTDOWN_STATE:
            raise PlatformError(
                f"{component.name}: could not be started: {fault.faultString} (see {log})"
            ) from fault
        raise PlatformError(f"{component.name}: {_TAKEN_DOWN}") from fault
    except OSError as error:
        raise PlatformError(f"{component.name}: {_TAKEN_DOWN}") from error


def given_up(state: StateDirectory) -> set[str]:
    """Return the components that ended again and again and are not started any more."""
    try:
        with _supervisor(state) as supervisor:
            processes = supervisor.getAllProcessInfo()
    except (OSError, xmlrpc.client.Error):
        return set()  # It is going down.
    return {process["name"] for process in processes if process["statename"] == "FATAL"}


def shut_down(state: StateDirectory) -> None:
    """End all components, the last one started first, and then the supervisor; wait for it."""
    process = psutil.Process(int(_process_file(state).read_text()))
    with suppress(xmlrpc.client.Fault), _supervisor(state) as supervisor:
        supervisor.shutdown()  # A fault says that this has been asked for already.
    process.wait()


def interrupt(state: StateDirectory, name: str, *, seconds: float) -> None:
    """Kill a component, leave it stopped for a while, and start it again."""
    with _supervisor(state) as supervisor:
        supervisor.signalProcess(name, "KILL")
        supervisor.stopProcess(name)
        time.sleep(seconds)
        supervisor.startProcess(name, _RETURN_AT_ONCE)


def process_id(state: StateDirectory, name: str) -> int:
    """Return the process number of a component; 0 when it does not run."""
    with _supervisor(state) as supervisor:
        return cast(int, supervisor.getProcessInfo(name)["pid"])


def last_line(log: Path) -> str:
    """Return the last line of a log that says something."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    except OSError:
        lines = []
    return next((line for line in reversed(lines) if line), "no message")


def _process_file(state: StateDirectory) -> Path:
    return state.config / "supervisord.pid"


@contextmanager
def _supervisor(state: StateDirectory) -> Iterator[Any]:
    transport = SupervisorTransport(None, None, f"unix://{state.supervisor_socket}")
    try:
        yield xmlrpc.client.ServerProxy("http://supervisor", transport).supervisor
    finally:
        transport.close()


def _is_healthy(supervisor: Any, component: Component) -> bool:
    if component.health_url is None:
        return bool(supervisor.getProcessInfo(component.name)["statename"] == "RUNNING")
    try:
        return httpx.get(component.health_url, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _configuration(state: StateDirectory, log: Path, components: Sequence[Component]) -> str:
    sections = [
        f"""[supervisord]
directory = {state.root}
logfile = {log}
pidfile = {_process_file(state)}

[unix_http_server]
file = {state.supervisor_socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    ]
    for priority, component in enumerate(components):
        environment = ",".join(
            f'{name}="{_escaped(value)}"' for name, value in component.environment.items()
        )
        sections.append(
            f"""[program:{component.name}]
command = {" ".join(_quoted(part) for part in component.command)}
environment = {environment}
priority = {priority}
autostart = false
autorestart = true
startsecs = 1
stopwaitsecs = {STOP_SECONDS}
redirect_stderr = true
stdout_logfile = {log_file(state, component.name)}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 1
"""
        )
    return "\n".join(sections)


def _escaped(value: str) -> str:
    return value.replace("%", "%%")


def _quoted(part: str) -> str:
    return '"' + _escaped(part).replace("\\", "\\\\").replace('"', '\\"') + '"'
