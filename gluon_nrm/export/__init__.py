"""From a run to files that need none of this package: symbol and parameters, ONNX, int8."""
