"""The named optimizers, one family per file: expressions over names that `gradtx` exports."""
