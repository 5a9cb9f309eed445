"""Prediction of classes of images by an export or a run; needs no training code."""
