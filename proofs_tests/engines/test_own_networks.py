"""Networks of the user's own under torch: dense ones train as the built-in layers do, buffers and frozen weights are kept, a
file asks for the factories, and what does not fit is named."""

import functools
import warnings

import numpy as np
import pytest
import torch
from ended_runs import Killed, kill
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import ConfigError
from jpvae.model.likelihoods import Gaussian

VIEWS, MASK = three_views(80, 5)
NAMED = dict(zip(("rna", "protein", "clinic"), VIEWS, strict=True))
SHORT = OPTIONS | {"steps": 60, "hidden": (6,)}


class Linear(torch.nn.Module):
    """The built-in layers' own start, as a module."""

    def __init__(self, start, part):
        super().__init__()
        count = sum(name.startswith(part) for name in start) // 2
        self.layers = torch.nn.ModuleList()
        for k in range(count):
            W, b = (torch.as_tensor(start[f"{part}.{k}.{kind}"]) for kind in ("weight", "bias"))
            layer = torch.nn.Linear(*W.shape, dtype=torch.float64)
            layer.weight.data, layer.bias.data = W.T.contiguous(), b.clone()
            self.layers.append(layer)

    def forward(self, x):
        for k, layer in enumerate(self.layers):
            x = layer(x if k == 0 else torch.relu(x))
        return x


def linear(*_, start, part):
    return Linear(start, part)


def test_a_network_of_the_same_layers_trains_as_the_built_in_ones():
    """Weights, moments and limit included: to 1e-9, as test_numpy_engine.py derives for two ways to add the same sums."""
    options = SHORT | {"weight_decay": 0.3, "max_gradient_norm": 5.0, "steps": 100}
    built_in = JPVAE(**options).fit(NAMED, MASK)
    start = built_in.model_.initial_parameters(0, built_in.scaling_)
    pair = tuple(functools.partial(linear, start=start, part=f"{part}.1") for part in ("encoder", "decoder"))
    own = JPVAE(**options, networks={"protein": pair}).fit(NAMED, MASK)
    assert own.model_.own_networks == ("encoder.1", "decoder.1")
    for name, x in built_in.parameters_.items():
        part, view, *rest = name.split(".")
        renamed = f"{part}.{view}.layers.{'.'.join(rest)}" if name.startswith(("encoder.1.", "decoder.1.")) else name
        found = own.parameters_[renamed].T if renamed != name else own.parameters_[name]
        assert np.abs(found - x).max(initial=0.0) <= 1e-9 * np.abs(x).max(initial=0.0), name


def noisy_encoder(features, latents):
    return torch.nn.Sequential(
        torch.nn.Linear(features, 8),
        torch.nn.BatchNorm1d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(8, 2 * latents),
    )


def frozen_encoder(features, latents):
    first = torch.nn.Linear(features, 8)
    torch.nn.init.constant_(first.weight, 0.25)
    return torch.nn.Sequential(first.requires_grad_(False), torch.nn.Tanh(), torch.nn.Linear(8, 2 * latents))


def decoder(features, latents):
    return torch.nn.Sequential(torch.nn.Linear(latents, 8), torch.nn.SiLU(), torch.nn.Linear(8, features))


NETWORKS = {"rna": (noisy_encoder, None), "protein": (frozen_encoder, decoder)}


def test_buffers_frozen_weights_files_and_resumed_runs(tmp_path):
    options = SHORT | {"networks": NETWORKS, "dtype": "float32"}
    model = JPVAE(**options).fit(NAMED, MASK)
    with pytest.raises(Killed):
        JPVAE(**options).fit(NAMED, MASK, checkpoint=tmp_path / "c", checkpoint_every=20, on_log=kill)
    resumed = JPVAE(**options).fit(NAMED, MASK, checkpoint=tmp_path / "c")  # dropout draws again what it drew
    torch.manual_seed(1)
    loaded = JPVAE.load(tmp_path / "c", networks=NETWORKS)
    p, filled = model.parameters_, model.impute(NAMED, MASK, n_draws=3)
    for other in (resumed, loaded):
        assert p.keys() == other.parameters_.keys()
        assert all(np.array_equal(x, other.parameters_[name]) for name, x in p.items())
        again = other.impute(NAMED, MASK, n_draws=3)
        assert all(np.array_equal(x, again[name]) for name, x in filled.items())
    assert p["encoder.0.1.num_batches_tracked"] == 60
    assert p["encoder.0.1.running_mean"].all()
    assert (p["encoder.1.0.weight"] == 0.25).all()
    assert "decoder.0.0.weight" in p
    assert p["decoder.1.2.bias"].shape == (4,)
    assert not any(name.startswith("encoder.0.3") for name in p)


def test_in_prediction_a_batch_norm_does_not_see_the_other_rows():
    model = JPVAE(**SHORT | {"networks": NETWORKS}).fit(NAMED, MASK)
    whole = model.transform(NAMED, MASK)
    few = model.transform({name: v[:7] for name, v in NAMED.items()}, MASK[:7])
    assert np.array_equal(whole[:7], few)


def test_what_a_factory_put_to_rest_rests():
    """A pretrained part in evaluation mode: its batch norm keeps its statistics, its dropout drops nothing."""

    def pretrained(features, latents):
        part = torch.nn.Sequential(torch.nn.BatchNorm1d(features), torch.nn.Dropout(0.9)).requires_grad_(False).eval()
        part[0].running_mean.fill_(0.75)
        return torch.nn.Sequential(part, torch.nn.BatchNorm1d(features), torch.nn.Linear(features, 2 * latents))

    p = JPVAE(**SHORT | {"networks": {"rna": (pretrained, None)}}).fit(NAMED, MASK).parameters_
    assert (p["encoder.0.0.0.running_mean"] == 0.75).all()
    assert p["encoder.0.0.0.num_batches_tracked"] == 0
    assert p["encoder.0.1.num_batches_tracked"] == 60  # its neighbour, which was not


def test_the_user_s_own_module_and_torch_s_generator_are_left_alone(tmp_path):
    held = noisy_encoder(5, 3)
    before = {name: x.clone() for name, x in held.state_dict().items()}

    def factory(*_):
        torch.rand(3)
        return held

    torch.manual_seed(4)
    state = torch.get_rng_state()
    JPVAE(**SHORT | {"steps": 3, "networks": {"rna": (factory, None)}}).fit(NAMED, MASK).save(tmp_path / "m")  # in float64
    JPVAE.load(tmp_path / "m", networks={"rna": (factory, None)}).impute(NAMED, MASK)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(x, before[name]) and x.dtype == before[name].dtype for name, x in held.state_dict().items())
    assert all(part.training for part in held.modules())


def test_a_layer_that_a_module_uses_twice(tmp_path):
    def twice(features, latents):
        norm = torch.nn.BatchNorm1d(features)
        return torch.nn.Sequential(norm, torch.nn.Linear(features, features), norm, torch.nn.Linear(features, 2 * latents))

    model = JPVAE(**SHORT | {"networks": {"rna": (twice, None)}}).fit(NAMED, MASK)
    assert model.parameters_["encoder.0.0.num_batches_tracked"] == 120  # in each of 60 steps
    assert "encoder.0.2.weight" not in model.parameters_
    model.save(tmp_path / "m")
    again = JPVAE.load(tmp_path / "m", networks={"rna": (twice, None)}).transform(NAMED, MASK)
    assert np.array_equal(again, model.transform(NAMED, MASK))


class Shifting(torch.nn.Linear):
    """It may change its input, which is another's too, or not."""

    def __init__(self, inplace, fan_in, fan_out):
        super().__init__(fan_in, fan_out)
        self.inplace = inplace

    def forward(self, x):
        return super().forward(x.add_(1.0) if self.inplace else x + 1.0)


def test_an_input_that_a_network_changes_is_its_own():
    """An encoder's is what the likelihood is of, too."""

    def trained(inplace):
        pair = (lambda c, n: Shifting(inplace, c, 2 * n), lambda c, n: Shifting(inplace, n, c))
        return JPVAE(**SHORT | {"steps": 5, "networks": {"rna": pair}}).fit(NAMED, MASK)

    one, other = trained(inplace=False), trained(inplace=True)
    assert all(np.array_equal(x, other.parameters_[name]) for name, x in one.parameters_.items())
    pairs = [(one.transform(NAMED, MASK), other.transform(NAMED, MASK)), (one.score(NAMED, MASK), other.score(NAMED, MASK))]
    assert all(np.array_equal(*pair) for pair in pairs)


class Assigning(torch.nn.Linear):
    """Its buffers are assigned anew, as moving averages often are, while what they were is still needed for the gradient."""

    def __init__(self, features, latents):
        super().__init__(features, 2 * latents)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("scale", torch.ones(2 * latents))
        self.register_buffer("hidden", torch.full((3,), -torch.inf))  # as a mask of attention has them

    def forward(self, x):
        out = super().forward(x) * self.scale
        if self.training:
            self.steps = self.steps + 1
            self.scale = 0.9 * self.scale + 0.05
        return out + self.hidden.exp().sum()


def test_buffers_that_are_assigned_anew_and_constants_that_are_infinite_are_kept(tmp_path):
    options = SHORT | {"networks": {"rna": (Assigning, None)}}
    model = JPVAE(**options).fit(NAMED, MASK)
    scale = 1.0
    for _ in range(60):
        scale = 0.9 * scale + 0.05
    p = model.parameters_
    assert p["encoder.0.steps"] == 60
    assert np.abs(p["encoder.0.scale"] / scale - 1.0).max() <= 60 * 2 * np.finfo(float).eps  # two roundings a step
    assert (p["encoder.0.hidden"] == -np.inf).all()
    with pytest.raises(Killed):
        JPVAE(**options).fit(NAMED, MASK, checkpoint=tmp_path / "c", checkpoint_every=20, on_log=kill)
    resumed = JPVAE(**options).fit(NAMED, MASK, checkpoint=tmp_path / "c")
    loaded = JPVAE.load(tmp_path / "c", networks={"rna": (Assigning, None)})
    for other in (resumed, loaded):
        assert all(np.array_equal(x, other.parameters_[name]) for name, x in p.items())
        assert np.array_equal(other.transform(NAMED, MASK), model.transform(NAMED, MASK))


class Casting(torch.nn.Linear):
    """It computes in one dtype whatever the engine's is."""

    def __init__(self, dtype, fan_in, fan_out):
        super().__init__(fan_in, fan_out)
        self.dtype = dtype

    def forward(self, x):
        return super().forward(x).to(self.dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_outputs_of_another_float_become_the_engine_s(dtype):
    pair = (lambda c, n: Casting(dtype, c, 2 * n), lambda c, n: Casting(dtype, n, c))
    model = JPVAE(**SHORT | {"steps": 3, "dtype": "float32", "networks": {"rna": pair}}).fit(NAMED, MASK)
    assert model.transform(NAMED, MASK).dtype == np.float32


class Reads(torch.nn.Linear):
    """An encoder; the class keeps what its objects read."""

    seen = ()

    def __init__(self, features, latents):
        super().__init__(features, 2 * latents)

    def forward(self, x):
        Reads.seen = (*Reads.seen, x.detach().clone())
        return super().forward(x)


def test_empty_cells_are_read_as_zeros():
    """Of complete tables it is the training without such cells, where none are hidden on purpose."""
    holes, options = NAMED["rna"].copy(), SHORT | {"steps": 5, "hidden": (), "linear_skip": False}
    holes[::3, 2] = np.nan
    networks = dict.fromkeys(NAMED, (Reads, None))
    whole = JPVAE(**options, networks=networks).fit(NAMED, MASK)
    marginal = JPVAE(**options, networks=networks, entries="marginalise", cell_dropout=0.0).fit(NAMED, MASK)
    for name, x in whole.parameters_.items():
        assert np.array_equal(x, marginal.parameters_[name]), name
    Reads.seen = ()
    model = JPVAE(**options, networks={"rna": (Reads, None)}, entries="marginalise").fit(NAMED | {"rna": holes}, MASK)
    assert {x.shape[1] for x in Reads.seen} == {5}
    assert any(((x[:, 2] == 0.0) & (x != 0.0).any(dim=1)).any() for x in Reads.seen)
    assert np.isfinite(model.impute(NAMED | {"rna": holes}, MASK)["rna"]).all()


def no_module(features, latents):
    return features + latents


def outer(features, latents):
    return torch.nn.Linear(features, 2 * latents)


class Unlearned(Gaussian):
    """Of variance 1."""

    def parameters(self, features):
        return {}

    def log_prob(self, xp, outputs, x, own):
        return -0.5 * (x - outputs) ** 2

    def normal_noise(self, features):
        return {}


def other_width(features, latents):
    return torch.nn.Linear(features, 2 * latents + 1)


def lazy(_, latents):
    return torch.nn.LazyLinear(2 * latents)


def scripted(features, latents):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # which releases of torch give, but none refuses to do it yet
        return torch.jit.script(torch.nn.Linear(features, 2 * latents))


class Waves(torch.nn.Linear):
    """With a constant that is complex."""

    def __init__(self, features, latents):
        super().__init__(features, 2 * latents)
        self.register_buffer("wave", torch.full((features,), 1 + 2j), persistent=False)

    def forward(self, x):
        return super().forward((x * self.wave).imag)


def other_input(features, latents):
    return torch.nn.Linear(features + 1, 2 * latents)


def mismatched(features, latents):
    made = torch.nn.Linear(features, 2 * latents)
    made.load_state_dict({"weight": torch.zeros(3, 3), "bias": torch.zeros(3)})
    return made


def importing(*_):
    import no_such_module  # noqa: F401


def other_signature(features):
    return torch.nn.Linear(features, 6)


class FewRows(torch.nn.Linear):
    def __init__(self, features, latents):
        super().__init__(features, 2 * latents)

    def forward(self, x):
        return super().forward(x)[:2]


class Growing(torch.nn.Linear):
    """It remembers more with each batch, of which no file could go back to the factory."""

    def __init__(self, features, latents):
        super().__init__(features, 2 * latents)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        if self.training:
            self.seen = torch.cat([self.seen, x[0, :1]])
        return super().forward(x)


class Sparse(FewRows):
    def __init__(self, features, latents):
        super().__init__(features, latents)
        self.register_buffer("graph", torch.eye(features).to_sparse())


class Large(FewRows):
    def __init__(self, features, latents):
        super().__init__(features, latents)
        self.register_buffer("key", torch.tensor([3, -(2**53) - 1]))


def spread(features, latents):
    return torch.nn.DataParallel(torch.nn.Linear(features, 2 * latents))


class Uncopied(FewRows):
    def __deepcopy__(self, _):
        raise RuntimeError("not this one")


class Fails(torch.nn.Linear):
    def forward(self, x):
        raise self.error


def failing(error, features, latents):
    made = Fails(features, 2 * latents)
    made.error = error
    return made


MADE = r"^networks: the encoder's factory for view 'rna', called with 5 features and 3 latents, failed: "
TRIED = r"^networks: the encoder of view 'rna' fails on 2 rows of 5 numbers: "
REFUSED = {
    "state": ({"rna": (mismatched, None)}, {}, rf"{MADE}RuntimeError: Error.s. in loading state_dict for Linear"),
    "import": ({"rna": (importing, None)}, {}, rf"{MADE}ModuleNotFoundError: No module named 'no_such_module'"),
    "signature": ({"rna": (other_signature, None)}, {}, rf"{MADE}TypeError: other_signature.. takes 1 positional"),
    "assert": (
        {"rna": (functools.partial(failing, AssertionError("99 columns")), None)},
        {},
        rf"{TRIED}AssertionError: 99 columns",
    ),
    "value": ({"rna": (functools.partial(failing, ValueError("bad shape")), None)}, {}, rf"{TRIED}ValueError: bad shape"),
    "lazy": (
        {"rna": (lazy, None)},
        {},
        r"for view 'rna' gave a module whose 'weight' has no size yet .* expected a plain torch.nn",
    ),
    "complex": (
        {"rna": (Waves, None)},
        {},
        r"encoder's factory for view 'rna' gave a module whose 'wave' is of torch.complex64; expected .* which are real floats",
    ),
    "rows": (
        {"rna": (FewRows, None)},
        {},
        r"for 32 rows of 5 numbers .* 'rna' gives \(2, 6\); expected \(32, 6\): 2 x latents",
    ),
    "whole numbers": (
        {"rna": (lambda c, n: Casting(torch.int64, c, 2 * n), None)},
        {},
        r"for 2 rows of 5 numbers the encoder of view 'rna' gives torch.int64; expected real floats",
    ),
    "growing": (
        {"rna": (Growing, None)},
        {},
        r"the encoder of view 'rna' assigns its 'seen' with the shape \(2,\); expected \(1,\), as its factory makes it",
    ),
    "sparse": ({"rna": (Sparse, None)}, {}, r"gave a module whose 'graph' is not dense .torch.sparse_coo.; expected a plain"),
    "large": ({"rna": (Large, None)}, {}, r"gave a module whose 'key' has integers beyond 2\*\*53, which a file cannot keep"),
    "spread": ({"rna": (spread, None)}, {}, rf"{TRIED}RuntimeError: The stateless API can't be used with nn.DataParallel"),
    "uncopied": (
        {"rna": (Uncopied, None)},
        {},
        r"for view 'rna' gave a module that cannot be copied to torch.float64 on cpu: RuntimeError: not this one",
    ),
    "scripted": ({"rna": (scripted, None)}, {}, r"for view 'rna' gave a scripted module; expected a plain torch.nn.Module"),
    "input": (
        {"rna": (other_input, None)},
        {},
        r"the encoder of view 'rna' fails on 2 rows of 5 numbers: RuntimeError: mat1 and mat2",
    ),
    "nothing to train": (
        {name: tuple(lambda c, n, part=part: part(c, n).requires_grad_(False) for part in (outer, decoder)) for name in NAMED},
        {"prior": "independent", "likelihood": Unlearned()},
        r"^nothing is left to train: every parameter of the networks is frozen, and neither the prior nor a likelihood",
    ),
    "view": ({"rnas": (noisy_encoder, None)}, {}, r"networks names the views \['rnas'\]; expected some of \['rna', 'protein'"),
    "pair": (
        {"rna": noisy_encoder},
        {},
        r"networks is .*; expected a dict by view, each a pair \(make_encoder, make_decoder\)",
    ),
    "shape": (
        {"rna": (other_width, None)},
        {},
        r"for 2 rows of 5 numbers the encoder of view 'rna' gives \(2, 7\); expected \(2, 6\)",
    ),
    "module": ({"rna": (no_module, None)}, {}, r"encoder's factory for view 'rna' gave .*; expected a torch.nn.Module"),
    "numpy": (NETWORKS, {"backend": "numpy"}, r"networks is given with backend='numpy', whose networks are dense layers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_named(name):
    networks, options, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message):
        JPVAE(**SHORT | options, networks=networks).fit(NAMED, MASK)


def test_statistics_of_a_batch_need_two_rows():
    """torch's batch norm has none of one row in training; a norm of each row does."""
    options = SHORT | {"steps": 2, "batch_size": 1, "hidden": ()}
    with pytest.raises(ConfigError, match=r"the encoder of view 'rna' cannot be trained on a batch of one row: .*batch_size"):
        JPVAE(**options, networks=NETWORKS).fit(NAMED, MASK)
    JPVAE(**options, networks={"protein": NETWORKS["protein"]}).fit(NAMED, MASK)


def test_a_file_asks_for_its_factories(tmp_path):
    JPVAE(**SHORT | {"steps": 2}, networks=NETWORKS).fit(NAMED, MASK).save(tmp_path / "m")
    with pytest.raises(ConfigError, match=r"networks has none for the encoder of view 'rna'; expected a factory.*JPVAE\.load"):
        JPVAE.load(tmp_path / "m")
    with pytest.raises(ConfigError, match=r"networks has a factory for the decoder of view 'rna'; expected None"):
        JPVAE.load(tmp_path / "m", networks=NETWORKS | {"rna": (noisy_encoder, decoder)})
    with pytest.raises(ConfigError, match=r"encoder\.0\.1\.bias is absent in the network that .* and of shape \(8,\)"):
        JPVAE.load(tmp_path / "m", networks=NETWORKS | {"rna": (frozen_encoder, None)})
