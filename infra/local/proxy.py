"""Configuration of Traefik, the proxy in front of everything on one machine."""

import json

from infra.local.run import HOST, Run
from infra.local.state import write_private


def write_configuration(run: Run) -> str:
    """Write Traefik's configuration and return the path of the file to start it with.

    The hub adds its own routes to the second file, which Traefik follows; routes of an earlier run
    are dropped here.
    """
    static = run.state.config / "traefik.yaml"
    routes = run.state.config / "routes.yaml"
    # JSON is YAML.
    write_private(static, json.dumps(_static(run, str(routes)), indent=2))
    write_private(routes, json.dumps(_dashboard_routes(run), indent=2))
    return str(static)


def health_url(run: Run) -> str:
    """Return the URL that answers once Traefik listens."""
    return f"http://{HOST}:{run.ports.proxy_api}/ping"


def _static(run: Run, routes: str) -> dict[str, object]:
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        # The names of the entry points are those that the hub looks for.
        "entryPoints": {
            "http": {"address": f"{HOST}:{run.ports.public}"},
            "auth_api": {"address": f"{HOST}:{run.ports.proxy_api}"},
        },
        "api": {},
        "ping": {"entryPoint": "auth_api"},
        "providers": {
            "providersThrottleDuration": "0s",
            "file": {"filename": routes, "watch": True},
        },
    }


def _dashboard_routes(run: Run) -> dict[str, object]:
    """Send everything of Dask Gateway but its API through the login service first.

    Not only what looks like the address of a dashboard: the gateway decodes addresses that the
    proxy compares as they are, so that `clusters%2F…` leads to a dashboard, too.
    """
    prefix = "/services/dask-gateway"
    login = f"http://{HOST}:{run.ports.dask_dashboard_login}"
    return {
        "http": {
            "routers": {
                "dask-dashboards": {
                    "entryPoints": ["http"],
                    "rule": f"PathPrefix(`{prefix}/`) && !PathPrefix(`{prefix}/api/`)",
                    # Above the hub's own route to the gateway, whose priority is its length.
                    "priority": 1000,
                    "middlewares": ["dask-dashboard-login", "dask-dashboard-headers"],
                    "service": "dask-dashboards",
                },
                "dask-dashboard-login": {
                    "entryPoints": ["http"],
                    "rule": f"Path(`{prefix}/oauth_callback`)",
                    "priority": 2000,
                    "service": "dask-dashboard-login",
                },
            },
            "middlewares": {
                "dask-dashboard-login": {
                    "forwardAuth": {"address": f"{login}{prefix}/dashboard-login"}
                },
                # A dashboard is a program of its owner: it must not see who looks at it. Origin is
                # compared by the login service; Dask would compare it with the wrong address.
                "dask-dashboard-headers": {
                    "headers": {
                        "customRequestHeaders": {"Authorization": "", "Cookie": "", "Origin": ""}
                    }
                },
            },
            "services": {
                "dask-dashboards": _service(f"http://{HOST}:{run.ports.dask_gateway_proxy}"),
                "dask-dashboard-login": _service(login),
            },
        }
    }


def _service(url: str) -> dict[str, object]:
    return {"loadBalancer": {"servers": [{"url": url}], "passHostHeader": True}}
