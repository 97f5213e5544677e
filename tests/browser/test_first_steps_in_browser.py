"""The platform as a user sees it: in a browser, from the login page to the plot and the dashboard.

Runs against the real platform on this machine with the browser that is installed. The picture that
README shows is the one that `make screenshot` makes with this test.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import Platform

SCREENSHOT_VARIABLE = "PANGEO_SCREENSHOT"

MINUTE = 60_000
"""In milliseconds, as Playwright counts."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give the browser that is installed on this machine."""
    program = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None
    )
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, platform: Platform) -> Iterator[Page]:
    """Give a page on which a new user has logged in through the login page."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(MINUTE)
    expect.set_options(timeout=MINUTE)
    page.goto(platform.run.url)
    page.get_by_label("Username").fill("grace")
    page.get_by_label("Password").fill(platform.run.state.load_secrets().user_password)
    page.get_by_role("button", name="Sign in").click()
    yield page
    context.close()
    with platform.login("grace") as grace:
        grace.stop_server()


def test_a_new_user_logs_in_runs_the_notebook_and_sees_plot_and_dashboard(
    page: Page, tmp_path: Path
) -> None:
    # The first thing a new user sees is the first notebook.
    expect(page.locator(".jp-Notebook")).to_contain_text("First steps", timeout=2 * MINUTE)
    expect(page.get_by_text("| Idle")).to_be_visible()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    last = page.locator(".jp-CodeCell").last.locator(".jp-OutputArea-output")
    expect(last).to_contain_text("The cluster is closed.", timeout=3 * MINUTE)
    assert page.locator(".jp-OutputArea-output[data-mime-type*=stderr]").count() == 0
    plot = page.locator(".jp-OutputArea-output img").first
    plot.scroll_into_view_if_needed()
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") > 500, "the user sees no plot"

    # A cluster and its dashboard are one click away, each.
    page.locator('[data-id="dask-dashboard-launcher"]').click()
    page.locator('jp-button[aria-label="NEW"]').click()
    task_stream = page.locator(".dask-DashboardListing-item", has_text="Task Stream").first
    expect(task_stream).to_be_visible()
    page.screenshot(path=os.environ.get(SCREENSHOT_VARIABLE) or tmp_path / "screenshot.png")
    task_stream.click()
    dashboard = page.frame_locator("iframe[src*='individual-task-stream']")
    expect(dashboard.locator(".bk-Figure")).to_be_visible()
    cluster_map = page.locator(".dask-DashboardListing-item", has_text="Cluster Map").first
    refused: list[str] = []
    page.on("websocket", lambda socket: socket.on("socketerror", lambda why: refused.append(why)))
    with page.expect_websocket(lambda socket: socket.url.endswith("/eventstream")):
        cluster_map.click()
    page.wait_for_timeout(2000)
    assert not refused, "the dashboard shows a picture that never moves"
