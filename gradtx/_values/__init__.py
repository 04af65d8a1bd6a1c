"""Layer 1: optimizers are values. What a decorated factory records, and all that follows from the record.

    value      the record: printing, comparison, hashing, pickling, being a pytree
    factory    the decorator: arguments bound, checked and copied
    schedule   schedules, which may stand for any hyperparameter
    segments   functions of the step count that schedules are made of
    config     values to and from plain data
    labels     which leaf of the parameters belongs to which group

Imports `_base` only.
"""
