"""Conversion of an inference graph to an ONNX model of opset 13, node by node.

MXNet's own exporter fails with every current ``onnx`` and has neither flipped slices nor half of the
comparisons. The graphs exported here hold few operators, each converted by a short function in ``layers``,
``elementwise`` or ``arrays``. ``onnx`` is imported only when a model is written.
"""
