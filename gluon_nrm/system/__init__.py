"""The machine and the set-up: versions, CUDA libraries, devices, GPUs; threads and memory of the process."""
