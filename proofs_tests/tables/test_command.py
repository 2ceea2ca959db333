"""The `jpvae` command: help with examples, JSON and nothing else, one message and exit code 2 for mistakes, run folders."""

import functools
import os
import subprocess
import sys

import pytest
from commands import assert_refused, invoke

from jpvae.commands.fit_options import Entries, PriorName
from jpvae.commands.program import COMMANDS, program
from jpvae.engines import names as engine_names
from jpvae.model.likelihoods import LIKELIHOODS
from jpvae.model.priors import PRIORS


@pytest.fixture
def command(monkeypatch, capsys):
    return functools.partial(invoke, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        (["--help"], "jpvae demo --out demo"),
        (["-h"], "jpvae demo --out demo"),
        (["demo", "-h"], "jpvae demo --out demo"),
        (["reproduce", "--help"], "jpvae reproduce --quick --out runs/quick"),
        (["hvdmnist", "--help"], "jpvae hvdmnist --variant orthogonal --protocol published --seed 0 --out runs/"),
    ],
)
def test_help_shows_an_example_that_parses(command, arguments, example):
    code, out, _ = command(*arguments)
    assert code == 0
    assert f"Example: {example}" in " ".join(out.split())
    words = example.split()[1:]
    code, out, err = command(*words, "--help")  # options before --help are still checked for existence
    assert (code, err) == (0, "")
    assert f"jpvae {words[0]} [OPTIONS]" in out


@pytest.mark.parametrize("columns", [80, 120])
def test_the_help_of_fit_fits_the_terminal_and_lists_every_choice(command, columns):
    code, out, err = command("fit", "--help", columns=columns)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= columns
    words = set(out.replace(",", " ").replace(".", " ").split())
    assert {*LIKELIHOODS, "infer", *PRIORS, *engine_names(), *Entries} <= words
    assert {*PriorName} == {*PRIORS}


REFUSED = {
    "variant": (["hvdmnist", "--variant", "diagonal", "--out", "x"], "'diagonal' is not one of 'zero', 'svd', 'orthogonal'"),
    "protocol": (
        ["hvdmnist", "--protocol", "mine", "--out", "x"],
        "'mine' is not one of 'published', 'paper', 'ours'",
    ),
    "steps": (["hvdmnist", "--steps", "0", "--out", "x"], "Invalid value for '--steps'"),
    "seed": (["demo", "--seed", "one"], "Invalid value for '--seed'"),
    "no out": (["hvdmnist"], "Missing option '--out'"),
    "unknown command": (["train"], "No such command 'train'"),
    "unknown option": (["demo", "--epochs", "3"], "No such option: --epochs"),
    "a file for a folder": (["demo", "--out", "taken"], "File exists: 'taken'"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_one_message_and_exit_code_2(command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    assert_refused(command, arguments, message)
    assert os.listdir(tmp_path) == ["taken"]


def test_brackets_in_a_message_are_no_markup(command, tmp_path):
    (tmp_path / "taken[").mkdir()
    (tmp_path / "taken[" / "bold]").write_text("a file")
    code, _, err = command("demo", "--out", tmp_path / "taken[" / "bold]")
    assert code == 2
    assert "taken[/bold]" in err


def test_importing_the_package_loads_no_framework():
    script = (
        "import sys, jpvae, jpvae_core, jpvae.errors, jpvae.model.model\n"
        "frameworks = {'torch', 'jax', 'matplotlib', 'mlxtend', 'pooch', 'safetensors'}\n"
        "loaded = (frameworks | {'sklearn', 'scipy', 'pandas'}) & set(sys.modules); assert not loaded, loaded\n"
        "import jpvae.estimator, jpvae.experiments.measures\n"  # scikit-learn loads pandas where there is one
        "loaded = frameworks & set(sys.modules); assert not loaded, loaded; print(jpvae.JPVAE.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("JPVAE", "")


def test_the_help_is_the_same_whichever_commands_are_loaded(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    pages = []
    for loaded in ((), COMMANDS):
        program(loaded)(["--help"], standalone_mode=False)
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1]
    assert all(line in pages[0] for line in COMMANDS.values())


@pytest.mark.parametrize(
    ("words", "code", "absent"),
    [("--help", 0, {"numpy"}), ("impute absent.safetensors --view a=a.csv --out filled", 2, {"sklearn", "scipy"})],
)
def test_the_command_loads_what_it_uses(words, code, absent, tmp_path):
    (tmp_path / "a.csv").write_text("id,x\n1,2\n")
    script = (
        f"import sys; from jpvae.commands.main import run; sys.argv[1:] = {words.split()}\n"
        f"try: run()\nfinally: print({absent} & set(sys.modules), 'jpvae_core' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == code
    assert ("absent.safetensors" in done.stderr) == (code == 2)  # it came as far as the model
    assert done.stdout.splitlines()[-1] == f"set() {code == 2}"


def test_the_command_without_its_packages(tmp_path):
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('No module named typer', name='typer')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "jpvae", "demo"], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "jpvae needs typer for its command: pip install 'jpvae[train,torch]'\n"
