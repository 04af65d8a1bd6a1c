"""Optimizers are values. The record that a decorated factory makes, and everything derived from it.

    registry     what is known of a factory, and the registry
    value        the record: printing, comparison, hashing, pickling, the pytree
    factory      the decorator: arguments bound, checked and copied
    annotations  the annotations of hyperparameters for users' factories
    readable     the signature of a factory as `help` shows it
    schedule     schedules, accepted for every hyperparameter
    segments     functions of the step count from which schedules are composed
    config       values to and from plain data
    matrices     which axes of an array are inputs and outputs of a matrix
    labels       which leaf of the parameters belongs to which group

Imports `_base` only.
"""
