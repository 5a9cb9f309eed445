"""Networks that are trained beside the classifier, against it, with an optimiser of their own.

A companion does two things in a training step. Before it, it gives the objective its extra inputs, such as
generated images. After the classifier's update, it takes a step of its own. ``Companion`` is the interface,
one file each holds a method, and ``build.py`` makes the one of a recipe.
"""
