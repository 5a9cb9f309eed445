"""A fuzzer of everything that the package reads: ``python tests/checks/fuzz --seconds 600 --seed 3``."""
