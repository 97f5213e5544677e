"""Dask clusters as users meet them: what they get, what they may choose, when clusters end.

Runs against the real platform on this machine.
"""

import json
import time

import httpx
import pytest

from tests.conftest import Person, Platform

VARIABLES = ("SCRATCH_BUCKET", "PERSISTENT_BUCKET", "AWS_ENDPOINT_URL", "AWS_MAX_ATTEMPTS")

ENVIRONMENT_EVERYWHERE = f"""
import json, os
def storage():
    import os
    return {{name: os.environ.get(name) for name in {VARIABLES!r}}}
cluster = gateway.new_cluster()
cluster.scale(1)
client = cluster.get_client()
client.wait_for_workers(1)
print(json.dumps([storage(), client.run_on_scheduler(storage), *client.run(storage).values()]))
everything = [
    value
    for process in (client.run_on_scheduler(lambda: dict(os.environ)),
                    *client.run(lambda: dict(os.environ)).values())
    for value in process.values()
]
print(sum("$(" in value for value in everything))
cluster.close()
"""


@pytest.fixture(scope="module", autouse=True)
def forgotten(platform: Platform) -> tuple[Person, float]:
    """Give somebody who has forgotten a cluster, to end after a minute, and since when."""
    ida = platform.person("ida")
    ida.runs(
        "from dask_gateway import Gateway\n"
        "gateway = Gateway()\n"
        "gateway.new_cluster(idle_minutes=1, shutdown_on_close=False)\n"
    )
    return ida, time.monotonic()


def test_storage_settings_are_the_same_in_notebook_scheduler_and_workers(ada: Person) -> None:
    same, unresolved = ada.runs(ENVIRONMENT_EVERYWHERE).splitlines()
    notebook, *others = json.loads(same)
    assert notebook["SCRATCH_BUCKET"] == "s3://scratch/ada"
    assert notebook["PERSISTENT_BUCKET"] == "s3://persistent/ada"
    assert len(others) == 2
    assert others == [notebook, notebook], "code that works in a notebook would fail on workers"
    assert unresolved == "0", "workers would look for buckets with $(…) in their names"


def test_a_cluster_gets_no_more_workers_than_its_limit(ada: Person, platform: Platform) -> None:
    limit = platform.settings.cluster_limits.workers
    message = ada.runs(
        "import warnings\n"
        "cluster = gateway.new_cluster()\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        f"    cluster.scale({limit + 5})\n"
        "print([str(w.message) for w in caught])\n"
        f"client = cluster.get_client(); client.wait_for_workers({limit})\n"
        "import time; time.sleep(6)\n"
        "print(len(client.nthreads()))\n"
        "cluster.close()\n"
    ).splitlines()
    assert "resource limit" in message[0], "a user who gets less than asked for is not told"
    assert int(message[1]) == limit, "one user could take the whole machine with one cluster"


def test_the_clusters_of_a_user_share_a_limit(ada: Person, platform: Platform) -> None:
    per_cluster = platform.settings.cluster_limits.workers
    assert platform.settings.user_limits.workers == 2 * per_cluster
    error = ada.gets_error(
        "clusters = [gateway.new_cluster() for _ in range(2)]\n"
        "for cluster in clusters:\n"
        f"    cluster.scale({per_cluster})\n"
        "    with cluster.get_client() as client:\n"
        f"        client.wait_for_workers({per_cluster})\n"
        "time.sleep(1)\n"
        "gateway.new_cluster()\n"
    )
    assert "together" in error, f"the limit per user is not enforced or not explained: {error}"
    assert "shut another cluster down" in error
    ada.runs("[cluster.close() for cluster in clusters]")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("image='evil/image:latest'", "image: got 'evil/image:latest', accepted are"),
        ("idle_minutes=0", "idle_minutes"),
        ("idle_minutes=100000", "idle_minutes"),
        ("worker_size='gigantic'", "worker_size"),
        ("environment={'SCRATCH_BUCKET': 's3://elsewhere'}", "SCRATCH_BUCKET is set by the"),
        ("environment={'DASK_GATEWAY_API_TOKEN': 'x'}", "DASK_GATEWAY_API_TOKEN is set by the"),
        ("environment={'WHERE': '$(HOME)/data'}", "is not resolved on Dask workers"),
    ],
)
def test_options_outside_of_what_is_offered_are_refused(
    ada: Person, options: str, complaint: str
) -> None:
    error = ada.gets_error(f"gateway.new_cluster({options})")
    assert complaint in error, f"the user does not learn what is wrong with {options}"
    assert ada.runs("print(gateway.list_clusters())") == "[]\n"


def test_a_user_chooses_size_and_variables_of_workers(ada: Person, platform: Platform) -> None:
    size = platform.settings.worker_sizes[-1]
    answer = ada.runs(
        f"options = dict(worker_size={size.name!r}, environment={{'MODE': 'fast'}})\n"
        "cluster = gateway.new_cluster(**options)\n"
        "cluster.scale(1)\n"
        "client = cluster.get_client(); client.wait_for_workers(1)\n"
        "print(client.run(lambda: __import__('os').environ['MODE']).popitem()[1])\n"
        "worker = client.scheduler_info()['workers'].popitem()[1]\n"
        "print(worker['nthreads'], worker['memory_limit'] / 2**30)\n"
        "cluster.close()\n"
    ).splitlines()
    assert answer[0] == "fast"
    threads, memory = answer[1].split()
    assert int(threads) == size.threads
    assert float(memory) == pytest.approx(size.memory_gib), "workers would die of lack of memory"


def test_a_cluster_ends_with_the_server_of_its_user(platform: Platform) -> None:
    eve = platform.person("eve")
    # What a killed kernel leaves behind: a cluster that nobody closes.
    name = eve.runs(
        "from dask_gateway import Gateway\n"
        "cluster = Gateway().new_cluster(shutdown_on_close=False)\n"
        "print(cluster.name)\n"
    ).strip()
    clusters = platform.run.state.dask_gateway / "clusters"
    assert (clusters / name).is_dir()
    platform.leave("eve")
    deadline = time.monotonic() + 40
    while (clusters / name).exists():
        assert time.monotonic() < deadline, "the cluster outlives the server and costs money"
        time.sleep(0.5)


def test_a_user_without_a_server_is_told_to_start_one(platform: Platform) -> None:
    with platform.login("nora") as nora:
        answer = httpx.post(
            f"{platform.run.dask_gateway_url}/api/v1/clusters/",
            headers={"Authorization": f"jupyterhub {nora.token}"},
            json={},
        )
    assert answer.status_code == 422
    assert "Start your server" in answer.text


# The last one, so that the minute has passed while the others ran.
def test_an_idle_cluster_ends_by_itself(forgotten: tuple[Person, float]) -> None:
    ida, since = forgotten
    if time.monotonic() - since < 50:
        assert ida.runs("print(len(gateway.list_clusters()))") == "1\n", "it ended too early"
    ida.runs("import time\nwhile gateway.list_clusters(): time.sleep(0.5)", seconds=120)
