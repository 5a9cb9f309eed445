"""The Ladder network (Rasmus et al. 2015): a classifier with a decoder that denoises every layer."""
