"""The `jpvae` command's entry: says what to install where the base install has no command-line packages."""

import sys


def main() -> None:
    """Run the command. Exit code 2 and one readable message on bad input."""
    try:
        import typer  # noqa: F401
    except ModuleNotFoundError as error:
        print(f"jpvae needs {error.name} for its command: pip install 'jpvae[train,torch]'", file=sys.stderr)
        raise SystemExit(2) from error
    from .commands.main import run

    run()


if __name__ == "__main__":
    main()
