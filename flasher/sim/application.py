"""An application on CPU1, as ST's examples are: it starts CPU2 with a mailbox of its own and takes its events.

It does nothing else. Halted, it does nothing at all; a debugger that lets it run after a reset finds C2BOOT set, its
tables overwritten and its events gone. Source: STM32CubeWB examples (hw_ipcc.c, tl_mbox.c), psdb on why CPU1 must
stay out of the way.
"""

from flasher.sim.cpu1 import Cpu1
from flasher.sim.ipcc import C1SCR, C2TOC1SR, SYSTEM
from flasher.sim.memory import Ram
from flasher.sim.parts import SRAM2A_BASE
from flasher.sim.registers import C2BOOT, IPCC_BASE, IPCCEN, PWR_CR4, RCC_AHB3ENR, Registers

_POLL_SECONDS = 0.01
_DEVICE_INFO, _SYSTEM, _QUEUE, _MEMORY, _FREE = (SRAM2A_BASE + at for at in (0x40, 0x80, 0x90, 0xA0, 0xC0))
_COMMAND, _SPARE_EVENT, _SPARE_BLE, _POOL = (SRAM2A_BASE + at for at in (0x100, 0x220, 0x340, 0x480))
_POOL_SIZE = 550


class SimulatedApplication:
    """The application's steps, when CPU1 lets it run."""

    def __init__(self, cpu1: Cpu1, registers: Registers, ram: Ram) -> None:
        self._cpu1, self._registers, self._ram = cpu1, registers, ram

    def step(self) -> None:
        """Do the next thing if it is time."""
        state = self._cpu1.state
        if state.step_due is None or state.step_due > self._cpu1.now:
            return
        if state.has_booted:
            self._take_events()
        else:
            self._start_cpu2()
        state.has_booted = True
        state.step_due = self._cpu1.now + _POLL_SECONDS

    def _start_cpu2(self) -> None:
        self._ram.put_words(SRAM2A_BASE, _DEVICE_INFO, 0, 0, _SYSTEM, _MEMORY, 0, 0, 0, 0, 0)
        self._ram.put_words(_SYSTEM, _COMMAND, _QUEUE)
        self._ram.put_words(_QUEUE, _QUEUE, _QUEUE)
        self._ram.put_words(_MEMORY, _SPARE_BLE, _SPARE_EVENT, _POOL, _POOL_SIZE, _FREE, 0, 0)
        self._ram.put_words(_FREE, _FREE, _FREE)
        self._registers.write(RCC_AHB3ENR, self._registers.read(RCC_AHB3ENR) | IPCCEN)
        self._registers.write(PWR_CR4, self._registers.read(PWR_CR4) | C2BOOT)

    def _take_events(self) -> None:
        if self._registers.read(IPCC_BASE + C2TOC1SR) & SYSTEM:
            self._ram.put_words(_QUEUE, _QUEUE, _QUEUE)
            self._registers.write(IPCC_BASE + C1SCR, SYSTEM)
