"""Several processes that serve one listener.

parent    starts the workers, passes signals on, replaces a worker that has died
worker    a worker's end of the channel to its parent
samples   the metrics of all workers, in memory that they share
"""
