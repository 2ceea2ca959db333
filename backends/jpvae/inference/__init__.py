"""A fitted model in use: latents, draws, imputations, scores and reports."""
