"""Export of a finished run to files that need none of this package: symbol, ONNX, int8."""
