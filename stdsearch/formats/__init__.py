"""The file formats of the field: NIST's ECF, RTTM, KWList and KWSList, and hits in every form people use them.

Every reader refuses malformed input with a `StdSearchError` that names the file, the line and the reason.
Needs numpy only; pyarrow is imported by the Parquet functions when they run.
"""
