"""CI runs what a developer runs: the workflows call the repository's own scripts, on every Python and system promised."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = {path.name: yaml.safe_load(path.read_text()) for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}
JOBS = {f"{file}: {name}": job for file, workflow in FILES.items() for name, job in workflow["jobs"].items()}
PYTHONS = set(
    re.findall(r"Python :: (3\.\d+)", " ".join(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]))
)


def commands(job):
    return [step["run"] for step in job["steps"] if "run" in step]


def matrix(job):
    return job.get("strategy", {}).get("matrix", {})


def test_every_promised_python_runs_everything_on_linux_and_macos():
    job = JOBS["tests.yml: everything"]
    assert set(matrix(job)["python"]) == PYTHONS == {"3.11", "3.12", "3.13", "3.14"}
    assert (job["runs-on"], set(matrix(job)["system"])) == ("${{ matrix.system }}", {"ubuntu-latest", "macos-latest"})
    assert "bash .ci/run" in commands(job)


def test_every_promised_python_runs_tests_lint_and_types_on_windows():
    job = JOBS["tests.yml: windows"]
    assert job["runs-on"] == "windows-latest"
    assert set(matrix(job)["python"]) == PYTHONS
    assert {"python -m ruff check .", "python -m ruff format --check .", "python -m mypy"} <= set(commands(job))
    assert any(command.startswith("python -m pytest proofs_tests ") for command in commands(job))


def test_windows_runs_no_test_that_forks():
    """Those that name what forks, by itself or by a script of _support."""
    texts = {path: path.read_text() for path in (ROOT / "proofs_tests").rglob("*.py") if path.name != Path(__file__).name}
    forking = {path.stem for path, text in texts.items() if re.search(r"\bos\.fork\(|get_context\(.fork", text)}
    for _ in texts:
        found = {
            path.stem for path, text in texts.items() if re.search(rf"^(?:from|import) ({'|'.join(forking)})\b", text, re.M)
        }
        if found <= forking:
            break
        forking |= found
    tests = {str(path.relative_to(ROOT)) for path in texts if path.stem in forking and path.name.startswith("test_")}
    assert "proofs_tests/engines/test_processes.py" in tests
    ignored = re.findall(r"--ignore ([\w./]+)", " ".join(commands(JOBS["tests.yml: windows"])))
    assert tests <= set(ignored)


@pytest.mark.parametrize("job", JOBS)
def test_what_a_job_names_exists(job):
    """Scripts, paths of tests and targets of make."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for command in commands(JOBS[job]):
        for path in re.findall(r"(?:bash|--ignore|pytest) ([\w./]+)", command):
            assert (ROOT / path).exists()
        assert set(re.findall(r"\bmake ([a-z]+)", command)) <= targets
    expressions = re.findall(r"\$\{\{ matrix\.(\w+) \}\}", yaml.safe_dump(JOBS[job]))
    assert set(expressions) <= set(matrix(JOBS[job]))


def test_a_cache_has_a_path_that_it_takes():
    """actions/cache saves nothing of a path with ".." in it, and only warns."""
    environment = FILES["tests.yml"]["env"]
    steps = [step for job in JOBS.values() for step in job["steps"] if step.get("uses", "").startswith("actions/cache@")]
    paths = [re.sub(r"\$\{\{ env\.(\w+) \}\}", lambda name: environment[name[1]], step["with"]["path"]) for step in steps]
    assert paths
    assert not any(".." in path.split("/") for path in paths)


def test_a_workflow_may_read_and_no_more_by_default():
    assert all(workflow["permissions"] == {"contents": "read"} for workflow in FILES.values())
