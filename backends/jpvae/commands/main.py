"""The `jpvae` command as a process runs it. With --json, only JSON is printed."""

from __future__ import annotations

import sys
import warnings

from rich.console import Console
from rich.markup import escape

from .program import COMMANDS, program


def run() -> None:
    """The command; a JPVAEError or an unusable path ends it with one message and exit code 2."""
    named = [word for word in sys.argv[1:2] if word in COMMANDS]
    if not named:
        program(loaded=())()  # help, the version or a mistake: NumPy need not be loaded
        return
    from jpvae_core import JPVAEError

    from ..errors import JPVAEWarning, ProcessLost
    from ..processes import launched

    screen = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)  # ":x:" is a person's text
    said = set[str]()

    def show(message: Warning | str) -> None:
        """A warning, once: a command may read its tables several times."""
        if str(message) not in said:
            said.add(str(message))
            screen.print(f"[bold yellow]warning:[/] {escape(str(message))}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if launched() else "always", JPVAEWarning)
        warnings.showwarning = lambda message, *_: show(message)
        try:
            program(loaded=named)()
        except (JPVAEError, OSError) as error:
            if not (launched() and isinstance(error, ProcessLost)):  # of many processes the first one tells
                screen.print(f"[bold red]error:[/] {escape(str(error))}")
            raise SystemExit(2) from error
