"""Learning rates and loss weights over time, and the optimiser of a parameter server."""
