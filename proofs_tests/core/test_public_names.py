"""What is public is what ``__all__`` lists; importing it drags nothing in. (documents/test_docstrings.py: the docstrings.)"""

import subprocess
import sys
import types

import jpvae_core as jc


def test_all_is_what_is_public():
    visible = {name for name, x in vars(jc).items() if not name.startswith("_") and not isinstance(x, types.ModuleType)}
    assert sorted(visible) == sorted(jc.__all__)
    assert len(set(jc.__all__)) == len(jc.__all__)


def test_a_public_name_lives_in_the_module_that_defines_it():
    for name in jc.__all__:
        assert getattr(jc, name).__module__.startswith("jpvae_core.")


def test_importing_the_core_imports_no_framework():
    code = "import sys, jpvae_core; print(*sorted({'torch', 'jax', 'array_api_strict', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
