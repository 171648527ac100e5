"""Option bytes: read from text or from registers, and judged."""
