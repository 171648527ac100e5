"""Values in, text and documents out. Nothing here decides, reads a file or prints."""
