"""A run on disk: its folder, metrics, checkpoints and facts, their tables and figures."""
