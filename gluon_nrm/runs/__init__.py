"""A run on disk: folder, metrics, checkpoints, networks, facts of its data, tables and figures."""
