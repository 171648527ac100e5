"""Signed bundles: verified images, the chips they are for, and the order of installation.

The flasher accepts nothing else. `write.write_bundle` makes a bundle, and only `verified.open_bundle` opens one
(docs/bundle.md).
"""
