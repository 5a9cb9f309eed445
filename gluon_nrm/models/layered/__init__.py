"""The Neural Rendering Model of a list of layers, and its released parameters."""
