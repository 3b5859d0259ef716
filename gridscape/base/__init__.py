"""The interfaces of Gridscape. Read this room first.

One legend of dimension letters for the whole package:

    N  examples of a split        B  examples of a batch      C  outputs (classes)
    T  time steps of a sequence   D  features of one step     H  hidden units
    K  trials of a cohort         U  updates of a segment     E  evaluation points
    R  replicates

Models, tasks and optimizers are small tuples of pure functions written for ONE trial; the engine
adds the trial dimension K. Traced hyperparameters reach them as ``hyper``, a mapping from name to
number, so that a new value never compiles anything again.

Two trials share a compiled program where the functions of their model, task and optimizer are the
same objects, and static options and shapes are equal. A factory that makes a new function for every
task or model has each compiled: ``functools.cache`` gives the same one for the same options.
"""
