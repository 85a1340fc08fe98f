"""Documents, faces and the keeping of both. Nothing in this package, `worker` apart, loads a model or a picture
library.

`worker` runs in a process of its own (`engine.WorkerIdentityEngine` starts it); no other process imports it.
"""
