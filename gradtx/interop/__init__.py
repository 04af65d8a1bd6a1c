"""Conversion of optimizer states from and to other libraries: `gradtx.interop.optax` and `gradtx.interop.torch`.

Neither module imports the other library.
"""
