"""What users cannot do to each other, and what nobody can do from outside.

Runs against the real platform on this machine. All its processes belong to one account of the
system, so this is about what its services allow, not about what one process may do to another.
"""

import stat
from collections.abc import Iterator
from dataclasses import asdict

import httpx
import psutil
import pytest

from infra.local.errors import PlatformError
from infra.local.hub_user import HubUser
from infra.local.lifecycle import processes_of
from tests.conftest import Person, Platform


@pytest.fixture
def cluster_of_ada(ada: Person) -> Iterator[str]:
    """Give the name of a cluster of Ada's."""
    yield ada.runs(
        "cluster = gateway.new_cluster(); cluster.scale(1)\n"
        "client = cluster.get_client(); client.wait_for_workers(1)\n"
        "print(cluster.name)\n"
    ).strip()
    ada.runs("client.close(); cluster.close()")


def test_a_user_cannot_see_use_or_stop_the_cluster_of_another(
    cluster_of_ada: str, ada: Person, bob: Person
) -> None:
    bob.runs("from dask_gateway import Gateway; gateway = Gateway()")
    assert bob.runs("print(gateway.list_clusters())") == "[]\n", "Bob sees the clusters of others"
    for attempt in ("get_cluster", "connect", "scale_cluster", "stop_cluster"):
        arguments = f"{cluster_of_ada!r}, 1" if attempt == "scale_cluster" else repr(cluster_of_ada)
        error = bob.gets_error(f"gateway.{attempt}({arguments})")
        assert "403" in error or "lacks permissions" in error, (
            f"Bob got past Dask Gateway with {attempt}: {error}"
        )
    assert ada.runs("print(len(gateway.list_clusters()))") == "1\n", "Bob stopped Ada's cluster"


def test_a_dashboard_opens_for_its_owner_alone(
    cluster_of_ada: str, ada: Person, bob: Person, platform: Platform
) -> None:
    base = f"/services/dask-gateway/clusters/{cluster_of_ada}"
    stranger = httpx.get(f"{platform.run.url}{base}/status")
    assert stranger.status_code == 302, "a dashboard is open to whoever knows its address"
    assert stranger.headers["location"].startswith(f"{platform.run.url}/hub/api/oauth2/authorize")
    disguised = base.replace("clusters/", "clusters%2F")
    assert httpx.get(f"{platform.run.url}{disguised}/status").status_code in (302, 404)
    owner = ada.account.get(f"{base}/status")
    assert owner.status_code == 200
    assert "bokeh" in owner.text, "the owner does not see the dashboard"
    assert ada.account.get(f"{base}/health").status_code == 200
    elsewhere = ada.account.get(f"{base}/status", headers={"Origin": "http://evil.example"})
    assert elsewhere.status_code == 403, "a page of somebody else reads Ada's dashboard"
    for page in (
        "status",
        "health",
        "individual-plots.json",
        "metrics",
        "json/counts.json",
        "info/main/workers.html",
    ):
        assert bob.account.get(f"{base}/{page}").status_code == 404, f"Bob reads {page}"


def test_jupyterlab_finds_the_plots_of_its_own_users_dashboard_alone(
    cluster_of_ada: str, ada: Person, bob: Person
) -> None:
    question = f"proxy/dask-gateway/clusters/{cluster_of_ada}/individual-plots.json"
    answer = {
        person.name: httpx.get(
            f"{person.account.server_url}/{question}",
            headers={"Authorization": f"token {person.account.token}"},
        )
        for person in (ada, bob)
    }
    assert "Individual Task Stream" in answer["ada"].json()
    assert answer["bob"].status_code == 404


def test_a_dashboard_of_no_cluster_looks_like_that_of_another_user(bob: Person) -> None:
    answer = bob.account.get("/services/dask-gateway/clusters/0123456789abcdef/status")
    assert answer.status_code == 404


def test_a_wrong_password_does_not_log_in(platform: Platform) -> None:
    with pytest.raises(PlatformError, match=r"login to .* as ada: refused"):
        HubUser(platform.run.url, "ada", "not the password")


@pytest.mark.parametrize("name", ["../ada", "a/b", "", "Ada Lovelace", "ada+x"])
def test_a_name_that_could_leave_its_folder_does_not_log_in(name: str, platform: Platform) -> None:
    with pytest.raises(PlatformError, match="refused"):
        platform.login(name)


def test_a_name_with_signs_in_it_has_buckets_of_its_own(platform: Platform) -> None:
    person = platform.person("a.b-c_d@e")
    assert (
        person.runs(
            "import os, s3fs\n"
            "store = s3fs.S3FileSystem()\n"
            "store.pipe(os.environ['SCRATCH_BUCKET'] + '/x', b'mine')\n"
            "print(store.cat('s3://scratch/a.b-c_d@e/x').decode())\n"
        )
        == "mine\n"
    )
    platform.leave("a.b-c_d@e")


def test_users_may_read_the_data_bucket_but_not_change_it(ada: Person) -> None:
    listing = ada.runs(
        "import s3fs, os\nstore = s3fs.S3FileSystem()\nprint(store.ls(os.environ['DATA_BUCKET']))\n"
    )
    assert "sst-ndjfm-anomaly.zarr" in listing
    for change in ("store.pipe('s3://data/new', b'x')", "store.mkdir('s3://mine')"):
        assert "PermissionError" in ada.gets_error(change), f"a user was allowed to {change}"
    ada.runs(
        "store.rm('s3://data/sst-ndjfm-anomaly.zarr/.zmetadata')"
    )  # says nothing, does nothing
    assert (
        ada.runs(
            "store.invalidate_cache()\n"
            "print(store.exists('s3://data/sst-ndjfm-anomaly.zarr/.zmetadata'))"
        )
        == "True\n"
    ), "a user deleted the data that everybody reads"


def test_the_object_store_refuses_strangers(platform: Platform) -> None:
    answer = httpx.get(f"{platform.run.s3_url}/data/sst-ndjfm-anomaly.zarr/.zmetadata")
    assert answer.status_code == 403


def test_nothing_listens_on_anything_but_loopback(cluster_of_ada: str, platform: Platform) -> None:
    listening = {
        (process.name(), connection.laddr.ip)
        for process in processes_of(platform.run.state)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len({name for name, _ in listening}) > 3, "the test has not looked at the platform"
    elsewhere = {item for item in listening if item[1] not in ("127.0.0.1", "::1")}
    assert not elsewhere, "the local network could reach the platform"


def test_secrets_are_readable_by_their_owner_alone(platform: Platform) -> None:
    state = platform.run.state
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o700
    private = [
        state.root / "secrets.json",
        *state.config.glob("*.json"),
        *state.config.glob("*.conf"),
    ]
    assert len(private) > 3
    for path in private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, f"others can read {path.name}"


def test_no_secret_is_in_a_log(platform: Platform) -> None:
    secrets = asdict(platform.run.state.load_secrets())
    for log in platform.run.state.logs.glob("*.log*"):
        text = log.read_text(errors="replace")
        for name, value in secrets.items():
            assert value not in text, f"{name} stands in {log.name}"
