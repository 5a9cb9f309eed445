"""Facts of the data that belong to a run, and what has changed since."""
