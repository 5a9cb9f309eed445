"""Tables and figures from runs: tables of the paper, generated images, rendering paths."""
