"""Speech with transcripts in, a manifest with word and phone times out."""
