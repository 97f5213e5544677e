"""Extension of every user's Jupyter server; the image has it in /etc/jupyter."""

import os
from urllib.parse import quote

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web


class DaskDashboardHandler(JupyterHandler):
    """Leads from an address on this server to the same dashboard on the hub.

    JupyterLab's Dask extension opens dashboards of Dask Gateway only if their address is below
    `proxy/` on the user's own server. The hub asks for the login and serves them.
    """

    @web.authenticated
    def get(self, path: str) -> None:
        """Redirect to the dashboard; nothing of it passes through this server."""
        hub = os.environ.get("JUPYTERHUB_BASE_URL", "/")
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(url_path_join(hub, "services/dask-gateway/clusters", quote(path)) + query)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "pangeo_server"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    base = url_path_join(server.base_url, "proxy/dask-gateway/clusters/(.+)")
    server.web_app.add_handlers(".*$", [(base, DaskDashboardHandler)])
