"""Moving running optimizers in and out: `gradtx.interop.optax` and `gradtx.interop.torch`.

Both read the other library's state without importing the library.
"""
