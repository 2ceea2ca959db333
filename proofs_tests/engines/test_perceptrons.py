"""The stacked classifiers: equal to the same networks trained one by one with torch's own modules, loss, gradients and SGD."""

import itertools

import numpy as np
import pytest
import torch

from jpvae.experiments.reproduce.perceptrons import BATCH, CLASSES, HIDDEN, Perceptrons

FEATURES, SEEDS = 13, [(0, 0), (0, 1), (3, 1)]
ROWS = 4 * BATCH + 5  # the last batch of a pass is short


def images(models):
    rng = np.random.default_rng(0)
    x = torch.as_tensor(3 * rng.standard_normal((models, ROWS, FEATURES)))
    return x, torch.as_tensor(rng.integers(0, CLASSES, ROWS))


def network(stack, m):
    """Model m as torch.nn has it."""
    sizes = (FEATURES, *HIDDEN, CLASSES)
    layers = [torch.nn.Linear(a, b, dtype=torch.float64) for a, b in itertools.pairwise(sizes)]
    for layer, w, b in zip(layers, stack.weights, stack.biases, strict=True):
        layer.weight.data, layer.bias.data = w[m].T.clone(), b[m, 0].clone()
    return torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])


def test_stacked_equals_separate_after_50_steps():
    """One by one: the published loss (a mean over batch and classes) and step (0.01), by autograd. In float64 the two programs
    differ by roundings, 2^-53 relative each, of at most 50 steps: far below 1e-6 of weights of order 0.01."""
    stack = Perceptrons.initial(SEEDS, FEATURES, dtype=torch.float64)
    networks = [network(stack, m) for m in range(len(SEEDS))]
    x, labels = images(len(SEEDS))
    targets = torch.nn.functional.one_hot(labels, CLASSES).double()
    for _ in range(10):
        stack.epoch(x, targets)
    for m, net in enumerate(networks):
        before = [p.detach().clone() for p in net.parameters()]
        optimiser = torch.optim.SGD(net.parameters(), lr=0.01)
        for start in [s for _ in range(10) for s in range(0, ROWS, BATCH)]:
            log_p = net(x[m, start : start + BATCH]).log_softmax(-1)
            loss = -(targets[start : start + BATCH] * log_p).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        trained = [p for k in range(3) for p in (stack.weights[k][m].T, stack.biases[k][m, 0])]
        for mine, theirs, start_value in zip(trained, (p.detach() for p in net.parameters()), before, strict=True):
            assert float((mine - theirs).abs().max()) <= 1e-6 * float(theirs.abs().max())
            assert float((theirs - start_value).abs().max()) > 1e-5  # it was trained
        right = float((net(x[m]).argmax(-1) == labels).double().mean())
        assert stack.accuracy(x, labels)[m] == pytest.approx(right, abs=1e-12)


def test_a_model_is_the_same_whatever_it_is_stacked_with():
    alone = [Perceptrons.initial([pair], FEATURES) for pair in SEEDS]
    together = Perceptrons.initial(SEEDS, FEATURES)
    for m, single in enumerate(alone):
        for mine, theirs in zip(together.weights + together.biases, single.weights + single.biases, strict=True):
            assert torch.equal(mine[m], theirs[0])
    assert not torch.equal(together.weights[0][0], together.weights[0][1])


def test_initial_weights_and_biases_are_normal_with_deviation_one_hundredth():
    """Of n draws the standard deviation errs by 0.01/sqrt(2n), one standard error; five are allowed."""
    stack = Perceptrons.initial([(0, 0)], 392)
    for values in (*stack.weights, torch.cat([b.flatten() for b in stack.biases])):
        assert abs(float(values.double().std()) - 0.01) <= 5 * 0.01 / np.sqrt(2 * values.numel())
        assert abs(float(values.double().mean())) <= 5 * 0.01 / np.sqrt(values.numel())


def test_parameters_come_back():
    stack, other = (Perceptrons.initial([(seed, 0)], FEATURES) for seed in (0, 1))
    other.restore({name: x.copy() for name, x in stack.arrays().items()})
    x, _ = images(1)
    assert torch.equal(stack.logits(x.float()), other.logits(x.float()))
