"""What goes wrong between a debug probe and the simulated chip."""


class AccessError(Exception):
    """The chip answered an access with a bus fault: nothing is there, or it is not for the debugger."""

    def __init__(self, address: int) -> None:
        super().__init__(f"no access at 0x{address:08X}")
        self.address = address
        """The first byte that could not be read or written; what lies before it could."""
