"""The named optimizers, one family a file: expressions over names that `gradtx` exports."""
