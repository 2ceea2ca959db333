"""The command in this process, and folders with tables and models of them, made once and copied."""

import functools
import shutil

import pytest
import table_session
from commands import invoke


@pytest.fixture
def command(monkeypatch, capsys):
    return functools.partial(invoke, monkeypatch, capsys)


@pytest.fixture(scope="session")
def ready(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables")
    table_session.make(path)
    return path


@pytest.fixture
def folder(ready, tmp_path, monkeypatch):
    """A copy of it, the working directory."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
