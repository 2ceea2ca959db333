"""What a fitted model shows of itself: its figures, and itself in a notebook. A part of JPVAE."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any

from ..fitted import Fitted
from ..inference.predictor import Predictor
from .notebook import estimator_html

if TYPE_CHECKING:
    from .plots import Plots


class Shown:
    """Methods of the estimator, which has options, a fit and reads views by it."""

    _fitted: Fitted
    _read: Any
    get_params: Any
    __sklearn_is_fitted__: Callable[[], bool]

    if TYPE_CHECKING:

        def predictor(self) -> Predictor:
            """The fitted model."""

    @property
    def plot(self) -> Plots:
        """The figures of the fitted model: ``model.plot.cross_view(views, mask)``, for instance (see ``Plots``).

        Raises NotFitted before ``fit``.
        """
        from ..views.checking import Kept
        from .plots import Plots

        predictor = self.predictor()
        return Plots(self._fitted, predictor, lambda views, mask: self._read(views, mask, None, copies=Kept())[0])

    def _repr_html_(self) -> str:
        """What a notebook shows: the views, which rows have which, and the state of the training."""
        return estimator_html(self._changed_options(), self._fitted if self.__sklearn_is_fitted__() else None)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _changed_options(self) -> dict[str, Any]:
        defaults = {name: repr(p.default) for name, p in signature(type(self)).parameters.items()}
        return {name: value for name, value in self.get_params(deep=False).items() if repr(value) != defaults[name]}
