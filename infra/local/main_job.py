"""The main job: an ordinary user runs the first notebook on a Dask cluster of their own."""

import nbformat

from infra.local.hub_user import HubUser
from infra.local.report import Report
from infra.local.run import Run

FIRST_NOTEBOOK = "first-steps.ipynb"

DEMO_USER = "demo"


def run_main_job(run: Run, report: Report) -> None:
    """Log in, start the server and run the first notebook, each cell a step of `report`.

    The executed notebook lies beside the report afterwards, also when a cell has failed. Raises
    PlatformError at the first step that fails.
    """
    with report.step("logged in"):
        user = HubUser(run.url, DEMO_USER, run.state.load_secrets().user_password)
    with user:
        with report.step("server ready"):
            user.start_server()
        notebook = user.read_notebook(FIRST_NOTEBOOK)
        titles = {
            cell.id: cell.metadata.get("step", cell.id)
            for cell in notebook.cells
            if cell.cell_type == "code"
        }
        try:
            with report.console.status("notebook runs"):
                user.run_notebook(notebook, lambda cell, seconds: report.add(titles[cell], seconds))
        finally:
            nbformat.write(notebook, run.state.reports / FIRST_NOTEBOOK)
            user.stop_server()
