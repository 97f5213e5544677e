"""Settings for the services: mistakes are found before anything starts."""

import dataclasses
import json

import pytest

from infra.services.settings import IdleMinutes, ServiceSettings, WorkerLimits


def test_settings_become_plain_json(settings: ServiceSettings) -> None:
    told = json.loads(settings.to_json())
    assert told["idle_minutes"] == {"default": 30, "minimum": 1, "maximum": 240}
    assert told["worker_sizes"][1]["memory_gib"] == 8


@pytest.mark.parametrize(
    "bounds",
    [{"minimum": 0}, {"default": 300}, {"minimum": 60, "default": 30}, {"maximum": 0}],
)
def test_an_idle_time_of_never_cannot_be_offered(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Dask Gateway reads 0 as 'never'"):
        IdleMinutes(**bounds)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"images": ()}, "images: got none"),
        ({"worker_sizes": ()}, "worker_sizes: got none"),
        (
            {"cluster_limits": WorkerLimits(cores=1, memory_gib=100, workers=9)},
            "does not fit cluster_limits",
        ),
        (
            {"user_limits": WorkerLimits(cores=8, memory_gib=6, workers=9)},
            "does not fit user_limits",
        ),
        ({"storage_environment": {"BUCKET": "$(OTHER)"}}, r"BUCKET='\$\(OTHER\)' holds"),
    ],
)
def test_settings_that_users_would_stumble_over_are_refused(
    settings: ServiceSettings, change: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(settings, **change)  # type: ignore[arg-type]
