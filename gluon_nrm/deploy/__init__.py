"""From a trained run to files that need none of this package, and back.

``manifest`` describes an export (``model.json``) and needs neither MXNet nor ONNX.
"""
