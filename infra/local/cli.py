"""The command `pangeo`: the platform on this machine, up, down, and put to work."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from infra.local import lifecycle, main_job, supervisor
from infra.local.errors import PlatformError
from infra.local.report import Report
from infra.local.run import HOST, PROJECT, Run
from infra.local.state import StateDirectory

console = Console()


class StateParameter(click.ParamType[StateDirectory]):
    """Turns a path into the state directory there."""

    name = "directory"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> StateDirectory:
        """Return the state directory at a path."""
        return (
            value
            if isinstance(value, StateDirectory)
            else StateDirectory(Path(str(value)).resolve())
        )


state_option = click.option(
    "--state",
    type=StateParameter(),
    default=PROJECT / ".pangeo",
    help="Directory that keeps homes, buckets, logs and secrets.",
)
port_option = click.option(
    "--port", type=int, default=0, help="Port of the hub; any free one by default."
)
address_option = click.option("--address", default=HOST, help="Address to listen on.")


@click.group()
def cli() -> None:
    """JupyterHub, Dask and an object store on this machine."""


@cli.command()
@state_option
@port_option
@address_option
def up(state: StateDirectory, port: int, address: str) -> None:
    """Bring the platform up and keep it up until Ctrl-C or 'make down'."""
    lifecycle.check_address(address)
    with _interruptible():
        run = lifecycle.start(state, Report(console), port=port)
        try:
            console.print(_invitation(run))
            reported: set[str] = set()
            while supervisor.is_running(state):
                for name in supervisor.given_up(state) - reported:
                    reported.add(name)
                    log = supervisor.log_file(state, name)
                    console.print(
                        f"[red]{name} ended again and again[/red]: "
                        f"{escape(supervisor.last_line(log))} (see {escape(str(log))}); end the "
                        "platform and bring it up again",
                        soft_wrap=True,
                    )
                time.sleep(1)
        finally:
            _stop(state)


@cli.command()
@state_option
def down(state: StateDirectory) -> None:
    """Take the platform down; homes and buckets stay."""
    if supervisor.is_running(state):
        _stop(state)
    elif killed := lifecycle.stop(state):
        console.print(f"Was not up; ended {killed} processes that a killed run had left.")
    else:
        console.print("Was not up.")


@cli.command()
@state_option
@port_option
def demo(state: StateDirectory, port: int) -> None:
    """Run the main job as an ordinary user, on the platform that is up or else on a new one."""
    report = Report(console)
    with _interruptible():
        present = lifecycle.running(state)
        try:
            run = present or lifecycle.start(state, report, port=port)
            try:
                main_job.run_main_job(run, report)
            finally:
                if present is None:
                    with report.step("taken down"):
                        lifecycle.stop(state)
        finally:
            if state.reports.is_dir():
                report.write(state.reports / "demo.json")
            console.print(report.table("The main job"))
            console.print(
                f"Report, executed notebook and logs: {escape(str(state.root))}", soft_wrap=True
            )


def main() -> None:
    """Run the command; a PlatformError becomes one line and exit code 1."""
    try:
        cli(standalone_mode=False)
    except PlatformError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error}; see the logs in the state directory")
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(
        f"[red]error:[/red] {escape(message)}", soft_wrap=True, highlight=False
    )
    sys.exit(1)


def _stop(state: StateDirectory) -> None:
    with console.status("Taking the platform down"):
        lifecycle.stop(state)
    console.print("Down. Homes and buckets are kept.")


def _invitation(run: Run) -> Panel:
    return Panel.fit(
        f"[bold]{run.url}[/bold]\n\n"
        f"user name  any, for example [bold]ada[/bold]\n"
        f"password   [bold]{run.state.load_secrets().user_password}[/bold]\n\n"
        f"logs       {escape(str(run.state.logs))}\n"
        "end it     Ctrl-C, or make down",
        title="Pangeo is up",
    )


@contextmanager
def _interruptible() -> Iterator[None]:
    """Make a request to end (by signal) like Ctrl-C, so that everything is ended in order."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
