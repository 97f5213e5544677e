"""Opens the Dask dashboard of a cluster to its owner alone.

Dask Gateway serves dashboards to whoever knows the name of a cluster. The proxy in front of them
(Traefik, by its ForwardAuth middleware) therefore asks this service about every request: without a
login of the hub it answers with the way to the login page, and with one it lets Dask Gateway say
whether the cluster is the user's.

A service of JupyterHub: needs the usual JUPYTERHUB_* variables of the service `dask-gateway`, plus
DASK_GATEWAY_URL (the gateway's address for requests to its API, with prefix) and
DASK_DASHBOARD_LOGIN_ADDRESS (where to listen, host:port).
"""

import os
import re
import secrets
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated
from tornado import httpclient, httpserver, ioloop, netutil, web

PREFIX = os.environ["JUPYTERHUB_SERVICE_PREFIX"].rstrip("/")
GATEWAY = os.environ["DASK_GATEWAY_URL"].rstrip("/")
DASHBOARD = re.compile(re.escape(PREFIX) + r"/clusters/(?P<cluster>[A-Za-z0-9._-]+)(/.*)?")


class DashboardHandler(HubOAuthenticated, web.RequestHandler):
    """Answers the proxy's question whether a request may pass: 2xx is yes."""

    async def prepare(self):
        """Take the request that the proxy asks about as our own, so that logins return to it."""
        self.request.uri = self.request.headers.get("X-Forwarded-Uri", "/")
        self.request.path = urlsplit(self.request.uri).path

    def check_xsrf_cookie(self):
        """Accept requests without a token: dashboards are only read, by their own pages."""

    async def get(self):
        """Let the owner of the cluster pass, send others to the login page or away."""
        match = DASHBOARD.fullmatch(self.request.path)
        if match is None:
            raise web.HTTPError(404)
        # The proxy drops this header, with which the dashboard would protect its websockets.
        asked = self.request.headers
        if "Origin" in asked and urlsplit(asked["Origin"]).netloc != asked["X-Forwarded-Host"]:
            raise web.HTTPError(403)
        if self.current_user is None:
            # In full: the proxy would complete it with the address of this service.
            self.redirect(
                f"{asked['X-Forwarded-Proto']}://{asked['X-Forwarded-Host']}{self.get_login_url()}"
            )
            return
        response = await httpclient.AsyncHTTPClient().fetch(
            f"{GATEWAY}/api/v1/clusters/{match['cluster']}",
            headers={"Authorization": f"jupyterhub {self.hub_auth.get_token(self)}"},
            raise_error=False,
        )
        if response.code != 200:
            # The same answer for no such cluster and for somebody else's.
            raise web.HTTPError(404 if response.code in (403, 404) else 502)


class HealthHandler(web.RequestHandler):
    """Answers once this service listens."""

    def get(self):
        """Answer with 200."""


def make_app() -> web.Application:
    """Return the web application, ready to listen."""
    return web.Application(
        [
            (f"{PREFIX}/oauth_callback", HubOAuthCallbackHandler),
            (f"{PREFIX}/dashboard-login", DashboardHandler),
            (f"{PREFIX}/dashboard-login/health", HealthHandler),
        ],
        # Logins to dashboards last as long as this process; the hub's own outlive it.
        cookie_secret=secrets.token_bytes(32),
    )


if __name__ == "__main__":
    host, port = os.environ["DASK_DASHBOARD_LOGIN_ADDRESS"].rsplit(":", 1)
    server = httpserver.HTTPServer(make_app())
    server.add_sockets(netutil.bind_sockets(int(port), address=host))
    ioloop.IOLoop.current().start()
