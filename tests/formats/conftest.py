"""Property tests of files wait for disks: how long one takes says nothing."""

from hypothesis import settings

settings.register_profile("files", deadline=None)
settings.load_profile("files")
