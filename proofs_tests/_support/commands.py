"""The `jpvae` command as the console script runs it, for tests."""

import sys

import pytest

from jpvae.commands import main as cli


def invoke(monkeypatch, capsys, *arguments, columns=200):
    """Run the command as the console script does, on a terminal of so many columns: -> exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "argv", ["jpvae", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.run()
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


def assert_refused(command, arguments, message):
    """The command ends with code 2 and one message on stderr."""
    code, out, err = command(*arguments)
    assert code == 2
    assert out == ""
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line.strip()]) <= 5  # typer's frame around one line of message
