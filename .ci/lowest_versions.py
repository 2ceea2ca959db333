"""Print pip constraints that hold every requirement of pyproject.toml at its lower bound: python .ci/lowest_versions.py

torch is the exception and stays at its pin in constraints.txt: the wheels of its lower bound bring CUDA and weigh gigabytes.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def constraints() -> list[str]:
    """One line per requirement. Exits with a message where a requirement has no lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split())
    lines = set()
    extras = project["optional-dependencies"].values()
    for requirement in [*project["dependencies"], *(requirement for extra in extras for requirement in extra)]:
        name = re.split(r"[\[<>=!~ ]", requirement)[0]
        bound = re.search(r">=\s*([\d.]+)", requirement)
        if name == "torch":
            lines.add(f"torch=={pinned['torch']}")
        elif bound:
            lines.add(f"{name}=={bound[1]}")
        elif name != project["name"]:
            sys.exit(f"pyproject.toml: {requirement!r} has no lower bound; expected name>=version")
    return sorted(lines)


if __name__ == "__main__":
    print("\n".join(constraints()))
