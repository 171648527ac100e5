"""The upgrade path from the chip as it is to the stack that is wanted."""
