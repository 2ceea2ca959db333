"""The Engine protocol: what a backend implements.

An engine knows dense layers, gradients and Adam. Everything else (the prior, likelihoods, imputation, batching, files)
is written once above it. Parameters live in the layout of model.py; batches and noise come in as NumPy arrays, so two
engines fed the same batches give the same losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from jpvae_core._array_api import A

from .model.batch import Batch
from .model.model import Model


class Engine(Protocol[A]):
    """A backend, made by ``Engine(model, dtype, device)``.

    It may take ``networks=`` and ``threads=`` too, and may have a method ``limited(rows)``: a context for computing on so many
    rows at a time, in which its library uses as many threads as these are worth (``Model.threads``), at most those that it was
    given (``threads``) or that were there. One that trains in several processes takes batches that have ``shares``, adds its
    gradient and report, each times its share, to those of the others, and has ``any_of(flag)`` and ``agree(number)``, which are
    True where the flag is in any process, and where the number is the same in all.

    Parameters
    ----------
    model : Model
    dtype : {"float32", "float64"}
    device : str
        As the library names it; "cpu" for every engine.

    Examples
    --------
    >>> import numpy as np
    >>> from jpvae.engines import Batch, engine
    >>> from jpvae.model.model import Model
    >>> model = Model((3, 2), (2, 2), ("gaussian", "gaussian"), hidden=(4,))
    >>> made = engine("numpy", model)
    >>> state = made.start(model.initial_parameters(0) | made.network_parameters(0), None)
    >>> views, observed = (np.ones((5, 3)), np.ones((5, 2))), np.ones((5, 2), dtype=bool)
    >>> noise = np.zeros((5, 4)), np.zeros((0, 5, model.noise_dim))
    >>> batch = Batch(views, observed, observed[None], np.ones(1), *noise)
    >>> sorted(made.train_step(state, batch, beta=1.0, learning_rate=1e-3, coupling_rate=1.0))
    ['kl', 'loss', 'reconstruction']
    >>> p = made.parameters(state)
    >>> mean, log_var = made.encode(p, 0, made.asarray(views[0]))
    >>> made.numpy(made.decode(p, 1, mean)).shape
    (5, 2)
    >>> parameters, moments = made.to_arrays(state)
    >>> float(moments["step"])
    1.0
    """

    def __init__(self, model: Model, dtype: str, device: str) -> None: ...

    @property
    def xp(self) -> Any:
        """The array-API namespace of its arrays."""

    def asarray(self, x: np.ndarray) -> A:
        """A native array of the engine's dtype (bool stays bool), without gradient.

        Parameters
        ----------
        x : ndarray (...)

        Returns
        -------
        native array (...)
        """

    def numpy(self, x: A) -> np.ndarray:
        """A NumPy copy.

        Parameters
        ----------
        x : native array (...)

        Returns
        -------
        ndarray (...)
        """

    def start(self, parameters: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None) -> Any:
        """A training state from parameters and, to resume, the optimiser's arrays.

        The order of the mappings changes no bit of what follows: a file gives them back in another.

        Parameters
        ----------
        parameters : dict of ndarray
            In the layout of model.py.
        optimizer : dict of ndarray, or None
            Adam's moments ``m.<name>`` and ``v.<name>``, and "step", as ``to_arrays`` gives them.

        Returns
        -------
        State
            The engine's own; it goes into the methods below.

        Raises
        ------
        KeyError
            Where the optimiser's arrays are those of another optimiser.
        """

    def parameters(self, state: Any) -> dict[str, A]:
        """The state's parameters as native arrays without gradients.

        Parameters
        ----------
        state : State

        Returns
        -------
        dict of native arrays
        """

    def to_arrays(self, state: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Parameters and the optimiser's arrays as NumPy arrays: what ``start`` takes.

        Parameters
        ----------
        state : State

        Returns
        -------
        parameters : dict of ndarray
        optimizer : dict of ndarray
        """

    def train_step(
        self,
        state: Any,
        batch: Batch,
        *,
        beta: float,
        learning_rate: float,
        coupling_rate: float,
        weight_decay: float = 0.0,
        max_gradient_norm: float | None = None,
    ) -> dict[str, Any]:
        """One Adam step on the weighted negative ELBO, in place.

        Parameters
        ----------
        state : State
        batch : Batch
            B rows as NumPy arrays, and their noise.
        beta : float
            The weight of the KL.
        learning_rate : float
            0 moves nothing: it is an evaluation, in which networks that behave otherwise in training (dropout) behave as in
            prediction.
        coupling_rate : float
            prior.logits and prior.alpha move at this times the learning rate.
        weight_decay : float
            w: before the step, every parameter is multiplied by 1 - learning_rate w f, f = ``Model.decay`` (decoupled weight
            decay: the gradient and Adam's moments do not see it).
        max_gradient_norm : float, or None
            G: the gradient g of all parameters, |g| its Euclidean norm, is taken as g min(1, G/|g|); where |g| is not finite,
            no step is made.

        Returns
        -------
        dict
            In nats per row and as they were before the step: "loss"; "reconstruction", -log p(x_i | z_i) under each view's own
            posterior, unweighted; "kl", of all observed views. With max_gradient_norm also "gradient_norm", |g|. Only where the
            loss is not finite, "rows": ``Batch.by_row`` of what every row gave.
        """

    def network_parameters(self, seed: int) -> dict[str, np.ndarray]:
        """Fresh parameters of the networks that are the user's own, by name.

        Parameters
        ----------
        seed : int

        Returns
        -------
        dict of ndarray
            Empty for an engine that takes none.
        """

    def encode(self, p: Mapping[str, A], view: int, x: A) -> tuple[A, A]:
        """Posterior means and log-variances of a view's rows.

        Parameters
        ----------
        p : dict of native arrays
            Those of ``parameters``.
        view : int
        x : native array (..., B, c_i)

        Returns
        -------
        means : native array (..., B, n_i)
        log_vars : native array (..., B, n_i)
        """

    def decode(self, p: Mapping[str, A], view: int, z: A) -> A:
        """The likelihood's outputs for latents of a view.

        Parameters
        ----------
        p : dict of native arrays
            Those of ``parameters``.
        view : int
        z : native array (..., B, n_i)

        Returns
        -------
        native array (..., B, c_i)
        """
