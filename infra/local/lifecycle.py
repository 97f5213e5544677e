"""Bringing the platform up and taking it down."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from infra.local import object_store, supervisor
from infra.local.components import components
from infra.local.errors import PlatformError
from infra.local.report import Report
from infra.local.run import HOST, Run, load_run, plan_run
from infra.local.state import STATE_VARIABLE, StateDirectory

_KILL_AFTER_SECONDS = 5


def check_address(address: str) -> None:
    """Raise PlatformError unless the platform may listen on this address.

    Its only login is one password that all users share, which must not be reachable from elsewhere.
    """
    if address not in (HOST, "localhost"):
        raise PlatformError(
            f"address {address}: refused, since the login is one password that all users share; "
            f"accepted is {HOST}. To reach the platform from elsewhere forward its port (ssh -L), "
            "or deploy it to a cloud, where users log in as themselves"
        )


def running(state: StateDirectory) -> Run | None:
    """Return the run that goes on in this state directory, if any.

    Raises PlatformError if the platform is just coming up or going down.
    """
    if not supervisor.is_running(state):
        return None
    if not state.up_file.exists():
        raise PlatformError(
            f"state directory {state.root}: another command brings the platform up or down there; "
            "wait for it"
        )
    return load_run(state.run_file)


def start(state: StateDirectory, report: Report, *, port: int = 0) -> Run:
    """Bring the platform up and return the run. What a killed run left behind is ended first.

    Raises PlatformError if it is up already, or if a component does not start; then everything that
    had started is ended again.
    """
    state.prepare()
    with _alone(state):
        if (present := running(state)) is not None:
            raise PlatformError(f"already up at {present.url}; end it with 'make down' first")
        if leftovers := end_leftovers(state):
            report.console.print(
                f"An earlier run was killed; {leftovers} of its processes were still there and "
                "have been ended."
            )
        # Clusters do not outlive a run: what the last one noted of them is of no use any more.
        shutil.rmtree(state.dask_gateway)
        state.prepare()
        run = plan_run(state, port=port)
        parts = components(run)
        run.save()
        try:
            supervisor.launch(run, parts)
            for part in parts:
                with report.step(f"{part.name} healthy"):
                    supervisor.start(run, part)
                if part.name == "object-store":
                    with report.step("buckets and sample data in place"):
                        object_store.prepare(run)
        except BaseException:
            stop(state)
            raise
        state.up_file.touch()
    return run


def stop(state: StateDirectory) -> int:
    """Take the platform down; homes and buckets stay.

    Return how many processes had not ended by themselves.
    """
    state.up_file.unlink(missing_ok=True)
    if supervisor.is_running(state):
        supervisor.shut_down(state)
    killed = end_leftovers(state)
    state.run_file.unlink(missing_ok=True)
    return killed


@contextmanager
def _alone(state: StateDirectory) -> Iterator[None]:
    with (state.config / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PlatformError(
                f"state directory {state.root}: another command brings the platform up there; "
                "wait for it"
            ) from error
        yield


def end_leftovers(state: StateDirectory) -> int:
    """End every process of this state directory and return how many there were."""
    processes = list(processes_of(state))
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=_KILL_AFTER_SECONDS)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=_KILL_AFTER_SECONDS)
    return len(processes)


def processes_of(state: StateDirectory) -> Iterator[psutil.Process]:
    """Yield every process that a run in this state directory has started, however indirectly.

    The caller and its ancestors are left out: they may be a terminal on the platform itself.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if process.pid not in own and process.environ().get(STATE_VARIABLE) == str(state.root):
                yield process
        except psutil.Error:
            continue
