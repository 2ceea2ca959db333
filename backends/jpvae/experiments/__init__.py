"""The paper's experiment, the demo, and the measures they report."""
