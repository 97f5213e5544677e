"""The state directory: everything that the platform on one machine keeps."""

import json
import os
import secrets
import shutil
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass, field
from pathlib import Path

from infra.local.errors import PlatformError

STATE_VARIABLE = "PANGEO_STATE_DIR"
"""Set, to the state directory, in the environment of every process of the platform."""

MINIMUM_FREE_MIB = 1024
"""Free disk space (MiB) required to start. A new platform takes about 30 MiB and the first steps of
a user 1 MiB more; the rest is for the volumes that SeaweedFS fills (128 MiB each) and for logs."""

# struct sockaddr_un has 104 bytes on macOS and 108 on Linux, one of them for the end. supervisord
# first makes its socket under a longer name, with a dot and its process number (up to 7 digits).
_MAXIMUM_SOCKET_PATH = 103 - 8

# Of these supervisord makes something else in its configuration.
_STRANGE_CHARACTERS = '%#;"\n'


def _token() -> str:
    return secrets.token_hex(32)


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """All secrets of the platform. Made at first start, kept in a file only the owner can read."""

    user_password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    hub_cookie_secret: str = field(default_factory=_token, repr=False)
    proxy_api_password: str = field(default_factory=_token, repr=False)
    dask_gateway_token: str = field(default_factory=_token, repr=False)
    dask_proxy_token: str = field(default_factory=_token, repr=False)
    dask_encrypt_key: str = field(
        default_factory=lambda: urlsafe_b64encode(secrets.token_bytes(32)).decode(), repr=False
    )
    idle_culler_token: str = field(default_factory=_token, repr=False)
    operator_access_key: str = field(default_factory=lambda: secrets.token_hex(10), repr=False)
    operator_secret_key: str = field(default_factory=_token, repr=False)
    user_access_key: str = field(default_factory=lambda: secrets.token_hex(10), repr=False)
    user_secret_key: str = field(default_factory=_token, repr=False)


@dataclass(frozen=True)
class StateDirectory:
    """Where things lie below the root of the state directory."""

    root: Path

    @property
    def config(self) -> Path:
        """Configuration written for the components of this run; it holds secrets."""
        return self.root / "config"

    @property
    def logs(self) -> Path:
        """One log file for each component."""
        return self.root / "logs"

    @property
    def reports(self) -> Path:
        """What runs of the main job leave behind."""
        return self.root / "reports"

    @property
    def homes(self) -> Path:
        """The home directories of users."""
        return self.root / "homes"

    @property
    def object_store(self) -> Path:
        """The data of the object store."""
        return self.root / "object-store"

    @property
    def hub(self) -> Path:
        """The database of the hub."""
        return self.root / "hub"

    @property
    def dask_gateway(self) -> Path:
        """The database of Dask Gateway and the working directories of clusters."""
        return self.root / "dask-gateway"

    @property
    def run_file(self) -> Path:
        """Describes the running platform; absent when none runs."""
        return self.config / "run.json"

    @property
    def up_file(self) -> Path:
        """Exists from when the platform has come up until it begins to go down."""
        return self.config / "up"

    @property
    def supervisor_socket(self) -> Path:
        """Where the supervisor of the components listens."""
        return self.root / "supervisor.sock"

    @property
    def _secrets(self) -> Path:
        return self.root / "secrets.json"

    def prepare(self) -> None:
        """Create what is missing, readable by the owner alone.

        Raises PlatformError if the path is too long for a socket or has a character that the
        supervisor cannot take, if the directory cannot be written to or holds something else, or if
        its disk has less than MINIMUM_FREE_MIB free.
        """
        if strange := sorted(set(str(self.root)) & set(_STRANGE_CHARACTERS)):
            raise PlatformError(
                f"state directory {self.root}: {' and '.join(strange)} in its path cannot be "
                "handled; name another one with STATE=…"
            )
        if len(os.fsencode(self.supervisor_socket)) > _MAXIMUM_SOCKET_PATH:
            raise PlatformError(
                f"state directory {self.root}: the path is too long for a socket in it (at most "
                f"{_MAXIMUM_SOCKET_PATH - len('/supervisor.sock')} bytes); name a shorter one with "
                "STATE=…"
            )
        try:
            if self.root.exists() and any(self.root.iterdir()) and not self._secrets.exists():
                raise PlatformError(
                    f"state directory {self.root}: holds other things already; name a new or an "
                    "empty one with STATE=…"
                )
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
            free = shutil.disk_usage(self.root).free // 2**20
            if free < MINIMUM_FREE_MIB:
                raise PlatformError(
                    f"state directory {self.root}: {free} MiB free on its disk, {MINIMUM_FREE_MIB} "
                    "MiB needed; free some space or name a directory on another disk with STATE=…"
                )
            self.load_secrets()
            for directory in (
                self.config,
                self.logs,
                self.reports,
                self.homes,
                self.object_store,
                self.hub,
                self.dask_gateway / "clusters",
                self.dask_gateway / "temporary",
            ):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise PlatformError(
                f"state directory {self.root}: {error.strerror} ({error.filename}); make it "
                "writable or name another one with STATE=…"
            ) from error

    def load_secrets(self) -> Secrets:
        """Return the secrets of this state directory, made now if there are none.

        Raises PlatformError if the file is damaged.
        """
        path = self._secrets
        try:
            return Secrets(**json.loads(path.read_text()))
        except FileNotFoundError:
            made = Secrets()
            write_private(path, json.dumps(asdict(made), indent=2))
            return made
        except (TypeError, ValueError) as error:
            raise PlatformError(
                f"{path}: damaged ({error}); restore it, or delete it to get new passwords"
            ) from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, at once or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
