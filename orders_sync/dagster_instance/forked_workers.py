"""Imported last by the process from which workers are forked (`warm_workers`): what it has loaded stays shared.

The garbage collector would write to each object, and so give each worker a copy of all of them.
"""

import gc

gc.collect()
gc.freeze()
