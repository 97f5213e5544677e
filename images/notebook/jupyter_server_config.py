"""Configuration of every user's Jupyter server; the image has it in /etc/jupyter."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

c = get_config()  # noqa: F821

HERE = Path(__file__).parent
sys.path.append(str(HERE))
c.ServerApp.jpserver_extensions = {"pangeo_server": True}

# A kernel counts as activity: without this a forgotten notebook keeps its server, and the Dask
# cluster that it holds, for ever. Seconds.
c.MappingKernelManager.cull_idle_timeout = 3600
c.MappingKernelManager.cull_interval = 300
c.MappingKernelManager.cull_connected = True

# A new user finds the first notebook at home and opens it first; one that was deleted stays away.
FIRST_NOTEBOOK = "first-steps.ipynb"
greeted = Path.home() / ".pangeo-first-steps"
c.ServerApp.default_url = "/lab"
if not greeted.exists():
    # A home that is full must not keep the server from starting.
    with suppress(OSError):
        if not (Path.home() / FIRST_NOTEBOOK).exists():
            shutil.copyfile(HERE / "home" / FIRST_NOTEBOOK, Path.home() / FIRST_NOTEBOOK)
        greeted.touch()
        c.ServerApp.default_url = f"/lab/tree/{FIRST_NOTEBOOK}"
