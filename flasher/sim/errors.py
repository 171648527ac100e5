"""What can go wrong on a simulated board, by who sees it."""


class SimError(Exception):
    """The base of every error that the simulation raises on purpose."""


class AccessError(SimError):
    """The debugger's access was not answered: the address, the power, a reset or a protection is in the way."""

    def __init__(self, address: int, reason: str = "no answer") -> None:
        super().__init__(f"0x{address:08X}: {reason}")
        self.address = address
        """The first byte that could not be read or written; what lies before it could."""
        self.reason = reason


class HostKilledError(SimError):
    """A fault on script ended the program that held the probe; the chip goes on."""


class PartError(SimError):
    """No such STM32WB part, or none with that FUS."""


class ImageError(SimError):
    """The bytes are not an image that this chip could have installed."""


class ApplicationSizeError(SimError):
    """The application does not fit into the flash that is left for it."""


class BoardError(SimError):
    """The file is not a simulated board, or is damaged."""
