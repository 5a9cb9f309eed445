"""Facts of a run's data, stored when the run starts, and later changes of the data."""
