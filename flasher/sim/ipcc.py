"""IPCC: the flags by which the CPUs ring each other. Source: CMSIS stm32wb55xx.h, mbox_def.h, psdb."""

from dataclasses import dataclass

C1CR, C1MR, C1SCR, C1TOC2SR, C2CR, C2MR, C2SCR, C2TOC1SR = range(0x00, 0x20, 4)  # CMSIS IPCC_TypeDef
_CHANNELS = 0x3F

SYSTEM = 1 << 1  # channel 2: system command and response one way, system event the other (mbox_def.h)
MM_RELEASE = 1 << 3  # channel 4: CPU1 gives event buffers back


@dataclass(slots=True)
class IpccState:
    """Registers. All masked after reset (a model of the peripheral; the manual was not readable)."""

    c1cr: int = 0
    c1mr: int = 0x003F_003F
    c2cr: int = 0
    c2mr: int = 0x003F_003F
    c1_to_c2: int = 0
    c2_to_c1: int = 0


class Ipcc:
    """The controller, as the debugger's accesses reach it."""

    def __init__(self) -> None:
        self.state = IpccState()

    def reset(self) -> None:
        """Every reset clears everything (psdb waits for flags from a clean state)."""
        self.state = IpccState()

    def read(self, offset: int) -> int:
        """Read a register; the set-and-clear registers read as 0."""
        state = self.state
        values = {C1CR: state.c1cr, C1MR: state.c1mr, C2CR: state.c2cr, C2MR: state.c2mr}
        values |= {C1TOC2SR: state.c1_to_c2, C2TOC1SR: state.c2_to_c1}
        return values.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Write a register. The low half of SCR clears what the other side rang, the high half rings."""
        state = self.state
        ring, clear = value >> 16 & _CHANNELS, value & _CHANNELS
        if offset == C1SCR:
            state.c2_to_c1 &= ~clear
            state.c1_to_c2 |= ring
        elif offset == C2SCR:
            state.c1_to_c2 &= ~clear
            state.c2_to_c1 |= ring
        elif offset == C1CR:
            state.c1cr = value & 0x0001_0001
        elif offset == C1MR:
            state.c1mr = value & 0x003F_003F
        elif offset == C2CR:
            state.c2cr = value & 0x0001_0001
        elif offset == C2MR:
            state.c2mr = value & 0x003F_003F
