"""Signed bundles: verified images, the chips they may go to, and in which order; the only thing the flasher takes.

`write.write_bundle` makes one, `verified.open_bundle` is the only door to one (docs/bundle.md).
"""
