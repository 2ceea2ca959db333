"""The command in this process, and folders with tables and models of them, made once and copied."""

import functools
import shutil

import pytest
import table_session
from commands import invoke
from lab import LAB
from table_files import write


@pytest.fixture
def command(monkeypatch, capsys):
    return functools.partial(invoke, monkeypatch, capsys)


@pytest.fixture
def in_lab(command, monkeypatch, tmp_path):
    """The command in a folder with lab.csv."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "lab.csv", LAB)
    return command


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
