"""Fills an archive: finds recordings, slices and embeds them, and commits the result."""
