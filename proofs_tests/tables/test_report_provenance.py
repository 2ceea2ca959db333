"""How a page says that its model was made: the fit's command or call, options, versions; and texts of files that mean harm."""

import ast
import json
import platform

import numpy as np
import pytest
from forged_files import forged, header_of
from safetensors.numpy import load_file
from synthetic import three_views

from jpvae import JPVAE, __version__
from jpvae.errors import CheckpointError
from jpvae.report.provenance import LONGEST, plain, provenance

VIEWS, MASK = three_views(20, 1)
GIVEN = {"latent_dims": 2, "likelihood": "gaussian", "steps": 3, "hidden": (4,), "backend": "numpy", "weight_decay": 0.25}
EVIL = "jpvae fit </pre><script>alert(1)</script> \x1b[31m \u202egnp.exe\n" + "x" * LONGEST


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "m.safetensors"
    JPVAE(**GIVEN, progress=False).fit(VIEWS, MASK, checkpoint=path)
    return path


def with_header(path, tmp_path, **changes):
    """The same file with another header, its checksum right."""
    header = json.loads(header_of(path)["header"]) | changes
    copy = tmp_path / "c"
    copy.write_bytes(path.read_bytes())
    forged(copy, load_file(path), header=json.dumps({name: x for name, x in header.items() if x is not None}))
    return copy


def test_a_fit_from_python_is_a_call_with_the_options_that_were_given(path):
    found = provenance("jpvae report m.safetensors", JPVAE.load(path), [])
    made = ast.parse(found.fit, mode="eval").body.func.value
    assert {each.arg: ast.literal_eval(each.value) for each in made.keywords} == GIVEN
    assert found.command == "jpvae report m.safetensors"
    shown = {option.name: option for option in found.options}
    assert {name for name, option in shown.items() if option.given} == GIVEN.keys()
    assert [option.given for option in found.options] == sorted((option.given for option in found.options), reverse=True)
    assert (shown["latent_dims"].came_to, shown["steps"].came_to) == ("2, 2, 2", "")
    assert [shown[name].value for name in ("batch_size", "hidden", "bootstrap", "rank")] == ["64", "4", "no", "–"]


def test_the_command_of_a_fit_is_shown_once(path, tmp_path):
    kept = JPVAE.load(with_header(path, tmp_path, metadata={"command": "jpvae fit --out m"}))
    assert (provenance("jpvae report m", kept, []).fit, provenance("jpvae report m", kept, []).command) == (
        "jpvae fit --out m",
        "jpvae report m",
    )
    assert provenance("jpvae fit --out m", kept, []).command == ""


@pytest.mark.parametrize("command", [EVIL, 3, ["jpvae"], {}, None, ""])
def test_a_command_in_a_file_is_text_or_nothing(path, tmp_path, command):
    found = provenance("jpvae report m", JPVAE.load(with_header(path, tmp_path, metadata={"command": command})), []).fit
    assert found.isprintable()
    assert found.startswith("jpvae fit </pre><script>" if command is EVIL else "JPVAE(")
    assert len(found) <= LONGEST


def test_versions_are_those_of_the_fit_and_of_the_page(path, tmp_path):
    here = {"Python": platform.python_version(), "jpvae": __version__, "numpy": np.__version__}
    assert JPVAE.load(path).versions_.items() >= here.items()
    forged = JPVAE.load(with_header(path, tmp_path, versions={"numpy": "1.0", "cupy": "13"}))
    rows = {name: both for name, *both in provenance("jpvae report m", forged, []).versions}
    assert (rows["numpy"], rows["cupy"], rows["Python"]) == (["1.0", np.__version__], ["13", ""], ["", here["Python"]])
    older = JPVAE.load(with_header(path, tmp_path, versions=None))
    assert older.versions_ == {}
    assert all(fit == "" for _, fit, _ in provenance("jpvae report m", older, []).versions)


@pytest.mark.parametrize(
    "versions",
    [3, ["numpy"], {"numpy": 3}, {"numpy": "1" * 101}, {"numpy": "1\n2"}, {"\u202e": "1"}, {str(k): "1" for k in range(51)}],
)
def test_versions_that_are_none_are_refused(path, tmp_path, versions):
    with pytest.raises(CheckpointError, match="its versions"):
        JPVAE.load(with_header(path, tmp_path, versions=versions))


def test_what_cannot_be_printed_is_shown_as_its_number():
    assert plain("a\tb\u202ec\u2028é🫀", 99) == "a\\u0009b\\u202ec\\u2028é🫀"
    assert (plain("abcdef", 4), plain("\n" * 99, 4)) == ("abc…", "\\u0…")
