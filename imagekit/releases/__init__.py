"""ST's release folders: release notes, their audit, and the catalogue made from them."""
