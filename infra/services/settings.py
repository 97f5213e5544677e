"""What the files that JupyterHub and Dask Gateway run inside are told about the platform."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

SETTINGS_VARIABLE = "PANGEO_SETTINGS"
"""The environment variable that holds `ServiceSettings.to_json()`."""


@dataclass(frozen=True, kw_only=True)
class WorkerSize:
    """A size of Dask worker that users can choose.

    `cores` and `memory_gib` (GiB) are what one worker may use; `threads` is how many tasks it runs
    at once. A chart may offer fractions of a core; one machine only offers whole ones.
    """

    name: str
    cores: float
    memory_gib: float
    threads: int


@dataclass(frozen=True, kw_only=True)
class WorkerLimits:
    """The most that the Dask workers of one cluster, or of one user, may have together.

    Schedulers are not counted: every cluster has exactly one, of fixed size, and the number of
    clusters of a user is limited, too.
    """

    cores: float
    memory_gib: float
    workers: int

    def holds(self, size: WorkerSize) -> bool:
        """Tell whether at least one worker of `size` stays within these limits."""
        return size.cores <= self.cores and size.memory_gib <= self.memory_gib and self.workers >= 1


@dataclass(frozen=True, kw_only=True)
class IdleMinutes:
    """How long an idle Dask cluster lives: what users get, and what they may ask for (minutes)."""

    default: int = 30
    minimum: int = 1
    maximum: int = 240

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.default <= self.maximum:
            raise ValueError(
                "idle minutes: 1 <= minimum <= default <= maximum must hold, got "
                f"minimum={self.minimum}, default={self.default}, maximum={self.maximum}. "
                "Dask Gateway reads 0 as 'never', which is not offered."
            )


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Everything that differs between targets for the hub and for Dask Gateway.

    `storage_environment` reaches user servers, Dask schedulers and Dask workers,
    `server_environment` user servers alone. In both `{username}` stands for the name of the user.
    `server_check_seconds` is how often Dask Gateway asks the hub whether the owners of clusters
    still have a server.

    Raises ValueError, naming the setting, if a default is missing from what is offered, a worker
    size exceeds a limit, or a variable would stay unresolved.
    """

    storage_environment: Mapping[str, str]
    server_environment: Mapping[str, str]
    images: tuple[str, ...]
    worker_sizes: tuple[WorkerSize, ...]
    cluster_limits: WorkerLimits
    user_limits: WorkerLimits
    idle_minutes: IdleMinutes = IdleMinutes()
    clusters_per_user: int = 4
    scheduler_cores: float = 1
    scheduler_memory_gib: float = 2
    server_check_seconds: float = 5

    def __post_init__(self) -> None:
        for what in ("images", "worker_sizes"):
            if not getattr(self, what):
                raise ValueError(f"{what}: got none, at least one must be offered")
        for limits in ("cluster_limits", "user_limits"):
            for size in self.worker_sizes:
                if not getattr(self, limits).holds(size):
                    raise ValueError(
                        f"worker_sizes: {size} does not fit {limits} {getattr(self, limits)}; "
                        "drop the size or raise the limit"
                    )
        for name, value in {**self.storage_environment, **self.server_environment}.items():
            if "$(" in value:
                raise ValueError(
                    f"{name}={value!r} holds a reference that nothing resolves on a Dask worker; "
                    "give the value itself"
                )

    def to_json(self) -> str:
        """Return the text for `SETTINGS_VARIABLE`."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)
