"""What mutation testing mutates: the core, or what draws, trains, weighs and pools; and the tests that meet it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TESTS, ROOT = HERE.parent, HERE.parents[1]
PATIENCE = (4.0, 30.0)  # seconds of processor time that a mutant has for its first turn, and for its second
SHOWN = ("__init__.py", "registry.py", "inspection.py", "latent_report.py", "verification.py", "progress.py")
ABOUT = {  # folder -> tests; those of engines first, because others import from them
    "engines": "batches plan likelihoods likelihood_units parts_and_cells likelihood_digits schedules missing_cells divergence "
    "training loop subset_objective stacks numpy_engine",
    "estimator": "posterior_predictive predictive_std level_probabilities resampling row_noise score pooling affine_model "
    "estimator early_stopping mixed_tables impossible callbacks calibration imputation_bounds matching "
    "ensembles bad_options large_tables weights_and_noise wide own_likelihoods streaming watching one_pass "
    "results_beyond_memory hidden_views shared_draws proposals",
}


@dataclass(frozen=True)
class Target:
    """What is mutated: the files below ``root``, its import path; the tests that meet it, and where survivors are explained."""

    root: Path  # of the package's own parent
    files: tuple[Path, ...]
    tests: tuple[str, ...]
    document: Path

    def module(self, file: str) -> str:
        """The import path of a file known by its name."""
        path = next(path for path in self.files if path.name == file)
        return ".".join(path.relative_to(self.root).with_suffix("").parts)


def packages(path: Path) -> set[str]:
    """The packages that a test module imports, itself or through modules beside it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    top = {name.partition(".")[0] for name in names}
    return top.union(*(packages(HERE / f"{name}.py") for name in top if (HERE / f"{name}.py").exists()))


def core() -> Target:
    """The core, by the test files that import it and not the package above it; but for the probes from JAX, whose arrays start
    JAX's threads: mutants are forks."""
    files = {str(path): packages(path) for path in sorted((TESTS / "core").glob("test_*.py")) if path.stem != "test_jax_probes"}
    tests = [path for path, names in files.items() if {name for name in names if name.startswith("jpvae")} == {"jpvae_core"}]
    return Target(ROOT, tuple(sorted((ROOT / "jpvae_core").glob("*.py"))), tuple(tests), ROOT / "docs" / "mutants.md")


def backends() -> Target:
    """What draws, trains, weighs and pools, by the tests of estimator and engines that are about it."""
    package = ROOT / "backends" / "jpvae"
    found = [path for folder in ("inference", "training", "model/likelihoods") for path in (package / folder).glob("*.py")]
    found = [path for path in found if path.name not in SHOWN]
    tests = [str(TESTS / folder / f"test_{name}.py") for folder, names in ABOUT.items() for name in names.split()]
    files = (*sorted(found), package / "pooling.py", package / "views" / "units.py")
    return Target(ROOT / "backends", files, tuple(tests), ROOT / "docs" / "mutants-backends.md")


TARGETS: dict[str, Callable[[], Target]] = {"core": core, "backends": backends}
