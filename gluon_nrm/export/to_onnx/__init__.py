"""An inference graph as an ONNX model of opset 13, written node by node.

MXNet's own exporter breaks with every current ``onnx`` and knows neither flipped slices nor half of the
comparisons; the graphs exported here hold few operators, each of which is a short function in ``layers``,
``elementwise`` or ``arrays``. Nothing is imported from ``onnx`` before a model is asked for.
"""
