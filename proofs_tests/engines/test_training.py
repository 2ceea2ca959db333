"""Training: a run that was interrupted ends in the same bits, a loss that is not finite is an error.

(That it does after kill -9 is test_killed_fits.py's matter.)
"""

import numpy as np
import pytest
from ended_runs import Killed
from numbered_batches import batches, same
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import CheckpointError, TrainingDiverged
from jpvae.files import checkpoints
from jpvae.training.batches import Batches
from jpvae.training.loop import alone, train

SHORT = OPTIONS | {"steps": 100, "hidden": (), "latent_dims": 2, "prior": "orthogonal", "learn_alpha": True, "dtype": "float32"}


def two_views(seed=1):
    views, mask = three_views(60, seed)
    return views[:2], mask[:, :2] | ~mask[:, :2].any(axis=1, keepdims=True)


def untimed(model):
    """The history without its seconds."""
    return [{name: value for name, value in record.items() if name != "seconds"} for record in model.history_]


def interrupted(path, at, every, views=None, **changes):
    """A fit that ends when the history's record of step ``at`` is written; views: in place of ``two_views``."""
    given, mask = two_views()

    def on_log(record):
        if record["step"] == at:
            raise Killed

    with pytest.raises(Killed):
        JPVAE(**SHORT | changes).fit(views or given, mask, checkpoint=path, checkpoint_every=every, on_log=on_log)


@pytest.mark.parametrize(("at", "every"), [(100, 50), (50, 7)])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, at, every):
    whole = JPVAE(**SHORT).fit(*two_views())
    interrupted(tmp_path / "c", at, every)
    resumed = JPVAE(**SHORT).fit(*two_views(), checkpoint=tmp_path / "c", checkpoint_every=every)
    again = JPVAE(**SHORT).fit(*two_views(), checkpoint=tmp_path / "c")  # finished: nothing left to do
    for other in (resumed, again):
        assert all(np.array_equal(whole.parameters_[k], other.parameters_[k]) for k in whole.parameters_)
        assert all(np.array_equal(a, b) for a, b in zip(whole.moments_, other.moments_, strict=True))
        assert untimed(whole) == untimed(other)


def test_the_same_numbers_in_another_form_go_on(tmp_path):
    """A table of float32 as float64, another zero and another NaN; what a missing row holds does not matter."""
    views, mask = two_views()
    views = [view.astype(np.float32) for view in views]
    seen, lacking = np.flatnonzero(mask[:, 0])[:2], np.flatnonzero(~mask[:, 0])[0]
    views[0][seen, 1] = 0.0, np.nan
    options = SHORT | {"entries": "marginalise"}
    whole = JPVAE(**options).fit(views, mask)
    interrupted(tmp_path / "c", 50, 20, views, entries="marginalise")
    other = [view.astype(np.float64) for view in views]
    other[0][seen[0], 1], other[0][lacking] = -0.0, 7.0
    other[0].view(np.uint64)[seen[1], 1] = 0xFFF8000000000001
    assert np.isnan(other[0][seen[1], 1])
    resumed = JPVAE(**options).fit(other, mask, checkpoint=tmp_path / "c")
    assert all(np.array_equal(whole.parameters_[k], resumed.parameters_[k]) for k in whole.parameters_)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    interrupted(tmp_path / "c", 50, 20)
    views, mask = two_views()
    other_views = [v.copy() for v in views]
    other_views[0][int(np.flatnonzero(mask[:, 0])[-1]), 0] += 1e-3
    other_mask = mask.copy()
    other_mask[np.flatnonzero(mask.all(axis=1))[0], 1] = False
    other = {
        "options": (SHORT | {"learning_rate": 3e-2}, views, mask),
        "model": (SHORT, [views[0], views[1][:, :2]], mask),
        "view_names": (SHORT, dict(zip("ab", views, strict=True)), mask),
        "fingerprint": (SHORT, other_views, mask),
        "fingerprint:": (SHORT, views, other_mask),
    }
    for part, (options, data, seen) in other.items():
        with pytest.raises(
            CheckpointError, match=rf"belongs to a different training run \({part}.*Choose another path, or delete the file"
        ):
            JPVAE(**options).fit(data, seen, checkpoint=tmp_path / "c")


def test_a_checkpoint_with_the_former_fingerprint_goes_on(tmp_path, monkeypatch):
    """A number, of the scaled views; another number is of other data. (An old file itself: test_older_files.py.)"""
    formers, fingerprint = [], Batches.former_fingerprint
    monkeypatch.setattr(Batches, "former_fingerprint", lambda self: formers.append(fingerprint(self)) or formers[-1])
    interrupted(tmp_path / "c", 50, 20)
    tensors, header = checkpoints.load(tmp_path / "c")
    assert not formers  # which is a pass over the data
    checkpoints.save(tmp_path / "c", tensors, header | {"fingerprint": 0})
    with pytest.raises(CheckpointError, match=r"training run \(fingerprint: 0; here \d+\)"):
        JPVAE(**SHORT).fit(*two_views(), checkpoint=tmp_path / "c")
    checkpoints.save(tmp_path / "c", tensors, header | {"fingerprint": formers[0]})
    whole, resumed = JPVAE(**SHORT).fit(*two_views()), JPVAE(**SHORT).fit(*two_views(), checkpoint=tmp_path / "c")
    assert all(np.array_equal(whole.parameters_[k], resumed.parameters_[k]) for k in whole.parameters_)


def test_training_lowers_the_loss():
    """From about 1.4 nats per standardised cell down: the views share two numbers, their noise is a tenth of the signal."""
    views, mask = three_views(200, 1)
    history = JPVAE(**OPTIONS | {"steps": 200}).fit(views, mask).history_
    losses = [record["loss"] for record in history]
    assert losses[-1] < losses[0] - 5.0
    assert [r["step"] for r in history] == list(range(50, 201, 50))
    assert set(history[0]) == {"loss", "reconstruction", "kl", "step", "beta", "learning_rate", "seconds"}


def test_a_loss_that_is_not_finite_stops_the_training():
    class Stub:
        def train_step(self, state, batch, **_):
            state.append(batch)
            fits = np.ones((len(batch.observed), 2))
            fits[2:, 1] = np.inf
            rows = {"posterior": np.ones_like(fits), "reconstruction": fits, "kl": np.ones(len(fits))}
            loss = [9.0, 8.0, float("nan")][len(state) - 1]
            return {"loss": loss, "reconstruction": [1.0, 1.0], "kl": 2.0, "rows": rows}

    for first in (0, 5):
        seen = []
        row = int(batches().at(first + 2).views[0][2:].min())  # the view holds the row's number
        place = rf"view 'view1', row {row} is the first: its reconstruction is inf\. Lower learning_rate"
        with pytest.raises(TrainingDiverged, match=f"the loss is nan at step {first + 2} .*{place}"):
            alone(Stub(), train(seen, batches(), first=first))
        assert same(seen[-1], batches().at(first + 2))


def test_a_diverged_fit_leaves_the_model_as_it_was():
    model = JPVAE(**SHORT).fit(*two_views())
    before = model.impute(*two_views(2))
    model.learning_rate = 1e6
    with pytest.raises(TrainingDiverged, match=r"at step \d+ .*KL"):
        model.fit(*two_views(2))
    after = model.impute(*two_views(2))  # not the old parameters with the new data's units
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
