"""Applications for CPU1, in the file formats that tool chains write."""
