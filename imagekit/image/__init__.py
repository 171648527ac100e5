"""ST's images as files: containers, footers, versions, signatures, and what a file is that is not an image."""
