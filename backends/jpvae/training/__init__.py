"""Training: plans, batches, the loop and what listens to it."""
