"""Extension of every user's Jupyter server; the image has it in /etc/jupyter."""

import os
from urllib.parse import quote

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import httpclient, web


class DaskDashboardHandler(JupyterHandler):
    """Leads from an address on this server to the same dashboard on the hub.

    JupyterLab's Dask extension opens dashboards of Dask Gateway only if their address is below
    `proxy/` on the user's own server. The hub asks for the login and serves them.
    """

    @web.authenticated
    async def get(self, path: str) -> None:
        """Redirect to the dashboard; answer the question for its list of plots here.

        JupyterLab asks for that list in a way that the login page of the hub cannot answer.
        """
        page = url_path_join("clusters", quote(path))
        if path.endswith("/individual-plots.json"):
            plots = await httpclient.AsyncHTTPClient().fetch(
                url_path_join(os.environ["DASK_GATEWAY__ADDRESS"], page),
                headers={"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}"},
                follow_redirects=False,
                raise_error=False,
            )
            if plots.code != 200:
                raise web.HTTPError(404)
            self.set_header("Content-Type", "application/json")
            self.finish(plots.body)
            return
        query = f"?{self.request.query}" if self.request.query else ""
        hub = os.environ.get("JUPYTERHUB_BASE_URL", "/")
        self.redirect(url_path_join(hub, "services/dask-gateway", page) + query)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "pangeo_server"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    address = url_path_join(server.base_url, "proxy/dask-gateway/clusters/(.+)")
    server.web_app.add_handlers(".*$", [(address, DaskDashboardHandler)])
