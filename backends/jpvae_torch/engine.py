"""The PyTorch engine: autograd over jpvae.model.objective, on CPU or CUDA."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import array_api_compat.torch
import numpy as np
import torch

from jpvae.model.batch import Batch
from jpvae.model.model import Model
from jpvae.model.objective import negative_elbo

from .networks import Factory, Networks, as_floats
from .stack import Stack, Stacks, stack_of
from .state import NUMBERS, MakeOptimizer, State, adam
from .together import add_up, agree, any_of

Tensors = dict[str, torch.Tensor]


class Engine:
    """The PyTorch engine; the methods are those of ``jpvae.engines.Engine``.

    Parameters
    ----------
    model : Model
    dtype : {"float32", "float64"}
    device : str
        As torch names it.
    networks : dict, or None
        Factories of networks by part, "encoder.0" for instance (networks.py).
    optimizer : callable
        From parameter groups to a torch optimiser, in place of Adam; its learning rates are set before every step.
    compile : bool
        Have torch.compile make the loss of each shape of batch, which takes a compiler and about a minute.
    threads : int, or None
        Torch's, while this engine computes. None: what its rows are worth (``Model.threads``; for networks of your own all), at
        most what torch had.

    Raises
    ------
    RuntimeError, AssertionError
        Torch's own, if there is no such device. (``jpvae.engines.engine`` makes a ConfigError of them.)

    Notes
    -----
    ``optimizer`` and ``compile`` go into ``JPVAE(backend=functools.partial(Engine, compile=True))``.

    Examples
    --------
    >>> import numpy as np
    >>> from jpvae.model.model import Model
    >>> from jpvae_torch import Engine
    >>> model = Model((3, 2), (2, 2), ("gaussian", "gaussian"), hidden=(4,))
    >>> made = Engine(model)
    >>> states = [made.start(model.initial_parameters(seed)) for seed in (0, 1)]
    >>> with made.limited(rows=5):
    ...     mean, log_var = made.encode(made.parameters(states[0]), 0, made.asarray(np.zeros((5, 3))))
    >>> made.numpy(mean).shape, made.stack(states) is None
    ((5, 2), False)

    In a process group of torch.distributed, ``made.any_of(flag)`` and ``made.agree(number)`` compare the processes.
    """

    xp = array_api_compat.torch

    def __init__(
        self,
        model: Model,
        dtype: str = "float32",
        device: str = "cpu",
        *,
        networks: Mapping[str, Factory] | None = None,
        optimizer: MakeOptimizer = adam,
        compile: bool = False,
        threads: int | None = None,
    ) -> None:
        self.model, self._threads = model, threads
        self.dtype: torch.dtype = getattr(torch, dtype)
        like = torch.empty(0, dtype=self.dtype, device=device)  # fails here, not in training, where there is no such device
        self.device, self._optimizer = like.device, optimizer
        self._networks = Networks(model, networks or {}, like)
        self._objective = torch.compile(negative_elbo) if compile else negative_elbo

    @contextmanager
    def limited(self, rows: int) -> Iterator[None]:
        """Compute with the threads that so many rows are worth; then torch has again what it had.

        Parameters
        ----------
        rows : int

        Yields
        ------
        None
        """
        before = torch.get_num_threads()
        worth = before if self.model.own_networks else min(before, self.model.threads(rows))
        torch.set_num_threads(self._threads or worth)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def any_of(self, flag: bool) -> bool:
        """Whether it is True in any process of the group.

        Parameters
        ----------
        flag : bool

        Returns
        -------
        bool
        """
        return any_of(flag, self.device)

    def agree(self, number: int) -> bool:
        """Whether it is the same number in all processes of the group.

        Parameters
        ----------
        number : int
            Of 32 bits.

        Returns
        -------
        bool
        """
        return agree(number, self.device)

    def asarray(self, x: np.ndarray) -> torch.Tensor:
        """A tensor on the engine's device; bool stays bool, all else takes the engine's dtype."""
        return torch.as_tensor(x, dtype=torch.bool if x.dtype == np.bool_ else self.dtype).to(self.device)

    def numpy(self, x: torch.Tensor) -> np.ndarray:
        """A NumPy copy."""
        return np.array(x.detach().cpu().numpy())

    def network_parameters(self, seed: int) -> dict[str, np.ndarray]:
        """Fresh parameters and buffers of the networks that are the user's own."""
        return self._networks.initial(seed)

    def start(self, parameters: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None = None) -> State:
        """Copies of the parameters, ready to train; the optimiser's arrays where training goes on."""
        leaves = {name: self._networks.prepare(name, x) for name, x in parameters.items()}
        saved = {name: np.asarray(x) for name, x in (optimizer or {}).items()}
        moments = {name: torch.tensor(x) if name.startswith(NUMBERS) else self.asarray(x) for name, x in saved.items()}
        return State(self.model, leaves, moments, self._optimizer)

    def parameters(self, state: State) -> Tensors:
        """The parameters (they share memory with the state's)."""
        state.settle()
        return {name: x.detach() for name, x in state.parameters.items()}

    def to_arrays(self, state: State) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Parameters, and the optimiser's arrays: Adam's step count and moments."""
        state.settle()
        moments = {name: as_floats(x) for name, x in state.moments().items()}
        return {name: as_floats(x) for name, x in state.parameters.items()}, moments

    def encode(self, p: Mapping[str, torch.Tensor], view: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior means and log-variances."""
        mean, log_var = self._networks(p, "encoder", view, x).chunk(2, dim=-1)
        return mean, log_var

    def decode(self, p: Mapping[str, torch.Tensor], view: int, z: torch.Tensor) -> torch.Tensor:
        """The likelihood's outputs."""
        return self._networks(p, "decoder", view, z)

    def stack(self, states: Sequence[State]) -> Stack | Stacks | None:
        """These states, all of this engine's model, as one program. CUDA graphs replay its steps on a GPU.

        Parameters
        ----------
        states : sequence of State

        Returns
        -------
        Stack, Stacks or None
            None where they cannot be one program: with networks or an optimiser of the user's own.
        """
        if self.model.own_networks or not all(state.stacks for state in states):
            return None
        return stack_of(self, states, graphs=self.device.type == "cuda")

    @torch.enable_grad()
    def train_step(
        self,
        state: State,
        batch: Batch,
        *,
        beta: float,
        learning_rate: float,
        coupling_rate: float = 1.0,
        weight_decay: float = 0.0,
        max_gradient_norm: float | None = None,
    ) -> dict[str, Any]:
        """One Adam step; the report is of the parameters before it."""
        p, network, training = state.parameters, self._networks, learning_rate > 0
        inputs = batch.inputs(self.asarray)
        shares = None if batch.shares is None else self.asarray(batch.shares)

        def encode(i: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            mean, log_var = network(p, "encoder", i, x, training=training).chunk(2, dim=-1)
            return mean, log_var

        def decode(i: int, z: torch.Tensor) -> torch.Tensor:
            return network(p, "decoder", i, z, training=training)

        state.leave()
        with network.randomness(batch.posterior_noise):
            found = self._objective(self.model, p, inputs, encode, decode, beta=beta, xp=self.xp)
            state.optimizer.zero_grad()
            torch.autograd.backward(found.loss if shares is None else shares[0] * found.loss)
        numbers = torch.cat([torch.stack([found.loss, found.kl]), found.reconstruction]).detach()
        if shares is not None:
            numbers *= torch.cat([shares[:1], shares])
            add_up([numbers, *state.gradients()])
        report: dict[str, Any] = {}
        if max_gradient_norm is not None:
            report["gradient_norm"] = state.limit(max_gradient_norm)
        if math.isfinite(report.get("gradient_norm", 0.0)):
            state.set_rates(learning_rate, coupling_rate, weight_decay)
            state.step()
        loss, kl, *reconstruction = numbers.tolist()
        report |= {"loss": loss, "reconstruction": reconstruction, "kl": kl}
        if not math.isfinite(loss):
            report["rows"] = found.by_row(batch, self.numpy)
        return report
