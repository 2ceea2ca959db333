"""Files on disk: checkpoints and saved models."""
