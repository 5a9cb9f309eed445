"""From an export or a run to answers; needs no training code."""
