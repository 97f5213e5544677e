"""What a person does with the platform, done by a program: log in, start a server, run a notebook.

Uses nothing but the login page, JupyterHub's API and Jupyter's API, as a browser would.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import nbformat
from jupyter_kernel_client import JupyterKernelClient

from infra.local.errors import PlatformError

SERVER_SECONDS = 120
"""How long a server may take to start; JupyterHub itself gives up after 60 s by default."""

CELL_SECONDS = 300
"""How long one cell of a notebook may take."""


class HubUser:
    """A user who is logged in to the hub, with a token for an hour that the log-out revokes.

    `hub` is the address of the hub. Raises PlatformError if the hub refuses name and password.
    """

    def __init__(self, hub: str, name: str, password: str) -> None:
        self.name = name
        self.hub = hub
        self._browser = httpx.Client(
            base_url=hub, follow_redirects=True, timeout=60, trust_env=False
        )
        try:
            self._log_in(password)
        except BaseException:
            self._browser.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.log_out()

    def log_out(self) -> None:
        """Revoke the token and forget the login; the server goes on."""
        self._api("DELETE", f"/tokens/{self._token_id}", accept=(204,))
        self._browser.close()

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Ask for a page as this user's browser does."""
        return self._browser.get(path, **options)

    def start_server(self) -> None:
        """Start the user's server and wait until it answers.

        Raises PlatformError if it does not within SERVER_SECONDS.
        """
        self._api("POST", "/server", accept=(201, 202, 400))
        deadline = time.monotonic() + SERVER_SECONDS
        while not (server := self.server()).get("ready"):
            if not server or time.monotonic() > deadline:
                raise PlatformError(f"server of {self.name}: did not start; see the log of the hub")
            time.sleep(0.2)

    def stop_server(self) -> None:
        """Stop the user's server and wait until it is gone.

        Raises PlatformError if it is still there after SERVER_SECONDS.
        """
        self._api("DELETE", "/server", accept=(202, 204, 400))
        deadline = time.monotonic() + SERVER_SECONDS
        while self.server():
            if time.monotonic() > deadline:
                raise PlatformError(f"server of {self.name}: does not end; see the log of the hub")
            time.sleep(0.2)

    def server(self) -> dict[str, Any]:
        """Return what the hub says of the user's server; an empty dictionary if there is none."""
        servers: dict[str, dict[str, Any]] = self._api("GET", "").json()["servers"]
        return servers.get("", {})

    @property
    def server_url(self) -> str:
        """The address of the user's server."""
        return f"{self.hub}/user/{quote(self.name, safe='@~')}"

    def kernel(self) -> JupyterKernelClient:
        """Return a fresh kernel on the user's server, as a context that shuts it down."""
        # As a header: the hub's servers take no token from the address of a websocket.
        return JupyterKernelClient(
            server_url=self.server_url, token=None, headers=self._authorization
        )

    def run_notebook(
        self,
        notebook: nbformat.NotebookNode,
        finished: Callable[[str, float], None] = lambda cell, seconds: None,
    ) -> None:
        """Run all cells in a fresh kernel and keep their outputs in `notebook`.

        `finished` is told the id of every code cell and how many seconds it took. Raises
        PlatformError, naming the cell, at the first that fails.
        """
        with self.kernel() as kernel:
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    begin = time.monotonic()
                    reply = kernel.execute(cell.source, timeout=CELL_SECONDS)
                    cell.outputs = [nbformat.from_dict(output) for output in reply["outputs"]]
                    cell.execution_count = reply["execution_count"]
                    if reply["status"] != "ok":
                        raise PlatformError(f"notebook cell '{cell.id}': {_error_of(cell)}")
                    finished(cell.id, time.monotonic() - begin)

    def _log_in(self, password: str) -> None:
        self._browser.get("/hub/login").raise_for_status()
        response = self._browser.post(
            "/hub/login",
            params={"next": "/hub/home"},
            data={"username": self.name, "password": password, "_xsrf": self._xsrf()},
        )
        if response.url.path != "/hub/home":
            raise PlatformError(
                f"login to {self.hub} as {self.name}: refused ({response.status_code}); check the "
                "password that 'make up' prints"
            )
        token = self._api(
            "POST",
            "/tokens",
            json={
                "note": "run a notebook",
                "expires_in": 3600,
                "scopes": [
                    f"access:servers!user={self.name}",
                    "access:services!service=dask-gateway",
                ],
            },
            accept=(200, 201),
        ).json()
        self.token: str = token["token"]
        self._authorization = {"Authorization": f"token {self.token}"}
        self._token_id: str = token["id"]

    def _xsrf(self) -> str:
        # One cookie for each path; the one of the hub is meant.
        return next(
            cookie.value or ""
            for cookie in self._browser.cookies.jar
            if cookie.name == "_xsrf" and cookie.path == "/hub/"
        )

    def _api(
        self,
        method: str,
        path: str,
        *,
        json: dict[str, Any] | None = None,
        accept: tuple[int, ...] = (200,),
    ) -> httpx.Response:
        response = self._browser.request(
            method,
            f"/hub/api/users/{quote(self.name)}{path}",
            json=json,
            headers={"X-XSRFToken": self._xsrf()},
        )
        if response.status_code not in accept:
            raise PlatformError(
                f"hub: {method} {response.url.path} answered {response.status_code}: "
                f"{response.text.strip()}"
            )
        return response


def _error_of(cell: nbformat.NotebookNode) -> str:
    for output in cell.outputs:
        if output.output_type == "error":
            return f"{output.ename}: {output.evalue}"
    return "failed"
