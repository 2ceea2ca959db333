"""A headless Chromium for tests of pages: the one that CHROMIUM names, or one on the PATH; playwright drives it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """Where it is; None where there is none."""
    return os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """Started; skips the test where there is none."""
    path = executable()
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium, or name one in the environment variable CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def tab(browser: Any, width: int, height: int = 900, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """An empty one, offline; and what the console will complain of, dialogs and requests included."""
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: said.append(f"request: {request.url}") if not request.url.startswith("file:") else None)
    yield page, said
    context.close()


def show(page: Any, path: Path) -> None:
    """A page from the disk in this tab, once its script is done."""
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]", timeout=60_000)


@contextmanager
def opened(browser: Any, path: Path, width: int, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page from the disk in a tab of its own."""
    with tab(browser, width, **options) as (page, said):
        show(page, path)
        yield page, said
