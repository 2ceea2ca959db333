"""How much of the paper's experiment is done: in full, or a tenth of it to try the command out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """length: part of each protocol's Adam steps; epochs of the classifiers; images and draws of the log-likelihoods."""

    length: float = 1.0
    epochs: int = 50
    epochs_on_originals: int = 15
    likelihood_images: int = 1024
    likelihood_draws: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.length <= 1:
            raise ConfigError(f"length is {self.length}; expected a part of the training, 0 < length <= 1")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


FULL = Settings()
QUICK = Settings(length=0.1, epochs=5, epochs_on_originals=2, likelihood_images=512, likelihood_draws=100)
