"""From a trained run to files that need none of this package, and back.

``export`` makes an export: ``load`` restores the run, ``source`` says what is computed, ``prepare`` turns it
into a graph that only infers (``simplify``, ``mixtures``, ``fold``), ``symbol_files``, ``to_onnx`` and
``quantise`` write it, and ``verify`` compares. ``manifest`` describes it (``model.json``) and needs neither
MXNet nor ONNX.
"""
