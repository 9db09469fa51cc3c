"""`review/`: every row of a construction as pages that open from the disk, without network or server."""
