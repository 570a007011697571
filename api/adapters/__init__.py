"""Functions with our gradients in other libraries: one module for each library, imported when it is called.

    from pullback.adapters import torch
    loss = torch.function(f)             # of tensors, with a backward pass

torch, jax, pytensor   f as a function of that library, with its derivative
iminuit, samplers      f as a cost function, or a density, of one vector
dask                   the gradient of a sum over chunks of data on a cluster

What the adapters have no use for stays out of `import pullback`.
"""
