"""A fitted model as a file, and back. A part of JPVAE."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self

from ..atomic import check_folder
from ..fitted import Fitted
from ..inference.predictor import Predictor
from ..planning import engine_of, with_networks
from ..writers import only_writer
from . import saving


class ModelFiles:
    """Methods of the estimator, which is made from options and takes a fit over."""

    _fitted: Fitted
    _become: Callable[[Fitted, Predictor], None]

    if TYPE_CHECKING:

        def __init__(self, **options: Any) -> None: ...

        def predictor(self) -> Predictor:
            """The fitted model."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one .safetensors file, whole or not at all.

        Parameters
        ----------
        path : path
            What is there is replaced, once the new file has been read back.

        Raises
        ------
        NotFitted
            Before ``fit``.
        CheckpointError
            Where the file cannot be written, or another process is writing it.

        Examples
        --------
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> model.save(os.path.join(folder.name, "model.safetensors"))
        """
        self.predictor()
        check_folder(path)
        with only_writer(path):
            saving.write(self._fitted, path, saving.Progress(self._fitted.steps))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        backend: str | Callable[..., Any] | None = None,
        device: str | None = None,
        networks: Mapping[str, tuple[Any, Any]] | None = None,
        threads: int | None = None,
    ) -> Self:
        """Read what ``save`` or a finished ``fit(checkpoint=...)`` wrote.

        Parameters
        ----------
        path : path
            The file; nothing in it is trusted.
        backend, device : str, optional
            Where to predict, if not where it was trained.
        networks : dict, optional
            The factories of the training, where it had networks of your own.
        threads : int, optional
            As for ``JPVAE``.

        Returns
        -------
        JPVAE
            As it was fitted.

        Raises
        ------
        CheckpointError
            For any other file.
        ConfigError
            Where the backend or the networks cannot be used.

        Examples
        --------
        >>> again = JPVAE.load(os.path.join(folder.name, "model.safetensors"), backend="numpy", device="cpu")
        >>> bool(np.array_equal(again.transform([rna, protein], mask), model.transform([rna, protein], mask)))
        True
        >>> folder.cleanup()
        """
        given = {"backend": backend, "device": device, "networks": networks, "threads": threads}
        chosen = {name: value for name, value in given.items() if value is not None}
        fitted = saving.read(path, **chosen)
        options = fitted.options
        self = cls(**{field.name: getattr(options, field.name) for field in fields(options)})
        made = engine_of(options, fitted.model, fitted.view_names)
        every = [with_networks(made, fitted.model, p, fitted.seed) for p in (fitted.parameters, *fitted.others)]
        first, *others = ({name: made.asarray(x) for name, x in p.items()} for p in every)
        self._become(fitted, Predictor(made, fitted.model, first, fitted.seed, others))
        return self
