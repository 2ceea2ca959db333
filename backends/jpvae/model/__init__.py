"""The model: sizes, parameters, the joint prior, the likelihoods, the loss."""
