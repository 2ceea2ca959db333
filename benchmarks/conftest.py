"""The frame of all suites: one thread, each case checked and then timed, a table at the end, results kept of whole suites.

    pytest benchmarks --benchmark-only
    pytest benchmarks --benchmark-only --device cuda        torch's lines on a GPU; kept as results/<suite>-cuda.json

A suite is a module test_bench_*.py with a ``SUITE`` (suites.py) whose tests call the fixture ``timed``. A run that leaves out
or fails a test of a suite (-k, a node id, an error) prints its table but leaves results/ and the targets alone.
"""

from __future__ import annotations

import os

# Read when the libraries are imported. One thread: the numbers are about work, not about a thread pool.
os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import time
from collections.abc import Callable, Iterator
from typing import Any

import history
import pytest
import suite_figure
import suites
import torch
from threadpoolctl import threadpool_limits

BUDGET, FEWEST, MOST = 0.2, 3, 200  # seconds of timing per case; rounds
CASES = pytest.StashKey[dict[suites.Suite, list[suites.Case]]]()
UNKEPT = pytest.StashKey[dict[suites.Suite, OSError]]()
PARTIAL = pytest.StashKey[set[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where torch computes."""
    parser.addoption("--device", default="cpu", help="torch's device in the benchmarks: cpu (default), cuda")


@pytest.hookimpl(tryfirst=True)  # pytest-benchmark reads its options in its own pytest_configure
def pytest_configure(config: pytest.Config) -> None:
    """Our tables in place of pytest-benchmark's; a device that torch has not is an error before any work."""
    config.option.benchmark_quiet = True
    device = config.getoption("--device", "cpu")
    if device != "cpu":  # a default, even "cpu", costs torch time in every call: small steps take half as long again
        if not device.startswith("cuda") or not torch.cuda.is_available():
            here = "cpu, cuda" if torch.cuda.is_available() else "cpu (torch finds no CUDA device here)"
            raise pytest.UsageError(f"--device is {device!r}, expected one of: {here}.")
        torch.set_default_device(device)
    config.stash[CASES], config.stash[PARTIAL], config.stash[UNKEPT] = {}, set(), {}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Also where another test has imported the libraries before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def timed(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., None]:
    """``timed(step, method=, sweep=, x=, error=, bound=, peak_bytes=)``: error against bound, then a step that ran before."""
    suite, on_gpu = request.module.SUITE, request.config.getoption("--device", "cpu").startswith("cuda")

    def run(work: Callable[[], Any], *, bound: float, **case: Any) -> None:
        assert case["error"] <= bound

        def step() -> None:
            work()
            if on_gpu:
                torch.cuda.synchronize()

        begin = time.perf_counter()
        step()
        rounds = int(BUDGET / (time.perf_counter() - begin))
        benchmark.extra_info.update(case, bound=bound)
        benchmark.pedantic(step, rounds=min(max(rounds, FEWEST), MOST))
        if benchmark.stats is not None:  # None under --benchmark-disable
            taken = benchmark.stats.stats
            found = suites.Case(**case, median=taken.median, minimum=taken.min)
            request.config.stash[CASES].setdefault(suite, []).append(found)

    return run


def pytest_deselected(items: list[pytest.Item]) -> None:
    """A suite that lost an item is partial."""
    for item in items:
        item.config.stash[PARTIAL].add(item.path.stem)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A suite with a failed case is partial."""
    report = yield
    if report.failed:
        item.config.stash[PARTIAL].add(item.path.stem)
    return report


def whole(config: pytest.Config, suite: suites.Suite) -> bool:
    """Whether this run has every case of the suite, and was started to measure."""
    narrowed = any("::" in argument for argument in config.args) or config.getoption("lf", False)
    return config.option.benchmark_only and not narrowed and f"test_bench_{suite.name}" not in config.stash[PARTIAL]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the results of whole suites; a missed target fails the run."""
    if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        session.config.stash[CASES].clear()
    for suite, cases in session.config.stash[CASES].items():
        if whole(session.config, suite):
            results = suites.Results(cases)
            try:
                suites.save(suite, results)
                values = {target.says: target.measure(results) for target in suite.targets}
                history.append(suites.place(suite, "json").stem, suites.made_with(), values)
                suite_figure.draw(suite, results)
            except OSError as error:  # the table is worth more than the file
                session.config.stash[UNKEPT][suite] = error
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            if not all(target.report(results)[0] for target in suite.targets if target.asserted):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One table per suite, and its targets."""
    for suite, cases in config.stash[CASES].items():
        results = suites.Results(cases)
        terminalreporter.section(suite.name)
        terminalreporter.write_line(suites.table(suite, results))
        if whole(config, suite):
            for target in suite.targets:
                met, text = target.report(results)
                terminalreporter.write_line(text, green=met, red=not met)
            if suite in config.stash[UNKEPT]:
                terminalreporter.write_line(f"The results could not be kept: {config.stash[UNKEPT][suite]}", red=True)
        else:
            terminalreporter.write_line("A partial run, or one without --benchmark-only: targets and results/ were left alone.")
