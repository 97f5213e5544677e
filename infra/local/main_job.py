"""The main job: an ordinary user runs the first notebook on a Dask cluster of their own."""

import httpx
import nbformat

from infra.local.errors import PlatformError
from infra.local.hub_user import HubUser
from infra.local.report import Report
from infra.local.run import NOTEBOOK_IMAGE, Run

FIRST_NOTEBOOK = NOTEBOOK_IMAGE / "home" / "first-steps.ipynb"
"""What every new user finds at home."""

DEMO_USER = "demo"


def run_main_job(run: Run, report: Report) -> None:
    """Log in, start the server and run the first notebook, each cell a step of `report`.

    The executed notebook lies beside the report afterwards, also when a cell has failed. A server
    that the user had already goes on. Raises PlatformError at the first step that fails.
    """
    try:
        with report.step("logged in"):
            user = HubUser(run.url, DEMO_USER, run.state.load_secrets().user_password)
        with user:
            had_server = bool(user.server())
            with report.step("server ready"):
                user.start_server()
            try:
                _run_notebook(user, run, report)
            finally:
                if not had_server:
                    user.stop_server()
    except httpx.HTTPError as error:
        raise PlatformError(f"{run.url}: {error}; see the logs in {run.state.logs}") from error


def _run_notebook(user: HubUser, run: Run, report: Report) -> None:
    notebook = nbformat.read(FIRST_NOTEBOOK, as_version=4)
    steps = {cell.id: cell.metadata.get("step", cell.id) for cell in notebook.cells}
    try:
        with report.console.status("notebook runs"):
            user.run_notebook(notebook, lambda cell, seconds: report.add(steps[cell], seconds))
    finally:
        nbformat.write(notebook, run.state.reports / FIRST_NOTEBOOK.name)
