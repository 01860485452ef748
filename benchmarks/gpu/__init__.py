"""What is to be known of a GPU, and a run at the paper's scale there: `python -m benchmarks.gpu`."""
