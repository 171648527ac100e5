"""Text and documents from values. Nothing here decides, reads a file or prints.

One file for each subject that a command prints, and one for each foreign format.
"""
