"""The executor of a Ray cluster: ``executor`` drives, ``station`` trains, ``parts`` is who is next.

Nothing here is needed before ``executor.Ray`` is opened; only then ray is imported.
"""
