"""One call of a model as frameworks understand it, over a service that knows no tools, formats or stop sequences.

Both adapters use it: a framework's messages become a `History`, its options a `Request`, and a `Completion` gives the
items of the answer. Import each name from its module: batches use `prompt` without the rest.
"""
