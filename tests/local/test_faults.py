"""What users notice when a part of the platform fails under them: nothing, or one clear line.

Runs against the real platform on this machine, whose parts are killed.
"""

import os
import signal
import threading
import time

import httpx
import psutil
import pytest

from infra.local import supervisor
from infra.local.errors import PlatformError
from infra.local.lifecycle import processes_of
from tests.conftest import Person, Platform

WRITE = """
import dask.array, numpy as np, os, time, xarray as xr
def slowly(block):
    time.sleep(0.4)
    return block
target = os.environ["SCRATCH_BUCKET"] + "/outage.zarr"
values = dask.array.arange(2_000_000, chunks=50_000).map_blocks(slowly)
written = xr.Dataset({"x": ("i", values)})
written.to_zarr(target, mode="w", zarr_format=2)
again = xr.open_zarr(target)["x"].values
assert (again == np.arange(2_000_000)).all()
print("complete")
"""


def wait_until_back(platform: Platform, name: str, old: int) -> None:
    """Wait until a component that was killed runs again."""
    deadline = time.monotonic() + 60
    while (new := supervisor.process_id(platform.run.state, name)) in (0, old):
        assert time.monotonic() < deadline, f"{name} was not started again"
        time.sleep(0.2)
    assert new != old


def test_a_hub_that_was_killed_finds_the_running_servers(ada: Person, platform: Platform) -> None:
    ada.runs("kept = 41")
    cluster = ada.runs("cluster = gateway.new_cluster(); print(cluster.name)")
    started = ada.account.server()["started"]
    hub = supervisor.process_id(platform.run.state, "hub")
    os.kill(hub, signal.SIGKILL)
    assert ada.runs("print(kept + 1)") == "42\n", "a notebook stops when the hub does"
    wait_until_back(platform, "hub", hub)
    deadline = time.monotonic() + 60
    while True:
        try:
            server = ada.account.server()
            break
        except (httpx.HTTPError, PlatformError):
            assert time.monotonic() < deadline, "the hub did not come back"
            time.sleep(0.5)
    assert server["ready"], "the hub has lost a running server"
    assert server["started"] == started, "the hub started the server anew, the work in it is gone"
    assert ada.runs("print(kept + 1)") == "42\n"
    time.sleep(3 * platform.settings.server_check_seconds)
    assert ada.runs("print(gateway.list_clusters()[0].name)") == cluster, (
        "a restart of the hub ended a running cluster"
    )
    ada.runs("cluster.close()")


def test_a_worker_that_is_killed_changes_nothing_in_the_result(
    ada: Person, platform: Platform
) -> None:
    ada.runs(
        "import time, os, numpy as np, dask.array\n"
        "cluster = gateway.new_cluster(); cluster.scale(2)\n"
        "client = cluster.get_client(); client.wait_for_workers(2)\n"
        "def slowly(block):\n"
        "    time.sleep(0.5)\n"
        "    return block\n"
        "numbers = dask.array.arange(4000, chunks=100).map_blocks(slowly)\n"
        "future = client.compute((numbers ** 2).sum())\n"
        "time.sleep(2)\n"
    )
    workers = [
        process
        for process in processes_of(platform.run.state)
        if "worker" in process.cmdline() and "--host" in process.cmdline()
    ]
    assert len(workers) == 2
    for process in [workers[0], *workers[0].children(recursive=True)]:
        process.kill()
    assert ada.runs("print(future.done())") == "False\n", "the worker was killed too late"
    assert int(ada.runs("print(int(future.result()))")) == sum(n * n for n in range(4000))
    ada.runs("client.wait_for_workers(2, timeout=60)")
    ada.runs("client.close(); cluster.close()")


@pytest.mark.parametrize("fault", ["frozen", "killed"])
def test_an_object_store_that_is_away_for_five_seconds_loses_nothing(
    fault: str, ada: Person, platform: Platform
) -> None:
    ada.runs(
        "cluster = gateway.new_cluster(); cluster.scale(2)\n"
        "client = cluster.get_client(); client.wait_for_workers(2)\n"
    )
    store = supervisor.process_id(platform.run.state, "object-store")

    def fail() -> None:
        if fault == "frozen":
            os.kill(store, signal.SIGSTOP)
            time.sleep(5)
            os.kill(store, signal.SIGCONT)
        else:
            supervisor.interrupt(platform.run.state, "object-store", seconds=5)

    outage = threading.Timer(3, fail)
    outage.start()
    assert ada.runs(WRITE, seconds=180).strip() == "complete"
    assert not outage.is_alive(), "the write was over before the store failed"
    outage.join()
    ada.runs("client.close(); cluster.close()")


def test_a_dask_gateway_that_was_killed_finds_the_running_clusters(
    ada: Person, platform: Platform
) -> None:
    name = ada.runs("cluster = gateway.new_cluster(); print(cluster.name)").strip()
    gateway = supervisor.process_id(platform.run.state, "dask-gateway")
    psutil.Process(gateway).kill()
    wait_until_back(platform, "dask-gateway", gateway)
    found = ada.runs(
        "deadline = time.time() + 60\n"
        "while True:\n"
        "    try:\n"
        "        print(gateway.list_clusters()[0].name); break\n"
        "    except Exception:\n"
        "        if time.time() > deadline: raise\n"
        "        time.sleep(0.5)\n"
    ).strip()
    assert found == name, "a restart of Dask Gateway loses clusters, which then run for ever"
    ada.runs("client = cluster.get_client(); cluster.scale(1); client.wait_for_workers(1)")
    ada.runs("client.close(); cluster.close()")
