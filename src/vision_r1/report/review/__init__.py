"""`review/`: every row of a construction as static pages that open from the disk, without network or server."""
