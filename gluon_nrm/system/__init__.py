"""The machine and the set-up: versions, processor, memory, GPUs, CUDA libraries, devices, job variables."""
