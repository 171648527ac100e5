"""The state of the simulated J-Link library: probes selected, open, connected; the target's CPU and its memory.

Plain Python, without C: flasher.sim.dll puts the C functions in front. Behaviour as pylink's users and its own tests
report it; where a real library's behaviour is not known, the one that a careless flasher would trip over.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from flasher.sim.dll_coresight import DllDebugPort
from flasher.sim.dll_devices import Bank, Device
from flasher.sim.dll_flash import FlashCache, MemoryCache, erase_bank, program
from flasher.sim.dll_link import AfterReset, CallError, Counters, Fails, Link, Timing
from flasher.sim.probes import CANNOT_CONNECT, Desk, SimulatedJLink

# Codes as pylink's enums list them.
LINK_LOST, NOT_OPEN, NO_POWER = -257, -258, -259
FILE_NOT_OPENED, UNKNOWN_FORMAT, NOT_SUPPORTED, NO_DEVICE = -268, -269, -271, -273
SWD, TIF_MASK = 1, 0b11
RESETS = (0, 2)
"""Reset types that reset the whole chip: normal (SYSRESETREQ) and pin. Others reset the core alone, or run a bootloader
in between: a program that asks for one must not get a full reset instead."""
STRICT_VERSION = 91401
"""9.14a: from here on a command string before OpenEx makes every selection fail, as users of pylink and pyOCD found."""
DEMCR, VC_CORERESET = 0xE000_EDFC, 1 << 0  # Arm v7-M
DCRSR, DCRDR, REGWNR = 0xE000_EDF4, 0xE000_EDF8, 1 << 16  # Arm v7-M, debug core registers
# In the order of DCRSR.REGSEL.
REGISTERS = (*(f"R{number}" for number in range(13)), "R13 (SP)", "R14", "R15 (PC)", "XPSR", "MSP", "PSP")

Channel = Literal["log", "detail", "error", "warning"]
Say = Callable[[Channel, str], None]
Progress = Callable[[bytes, bytes, int], None]
Selection = Callable[[], SimulatedJLink | None]


@dataclass(slots=True, kw_only=True)
class Settings:
    """What a test may choose about the library."""

    version: int = STRICT_VERSION
    """Decimal MMmmrr: 91401 is 9.14a."""
    after_reset: AfterReset = field(default_factory=Fails)
    """What accesses come to after a reset that the library did not make: unknown, so what is hardest on a flasher."""
    timing: Timing = field(default_factory=Timing)
    unknown_commands: frozenset[str] = frozenset()
    """Command strings, in lower case, that this version does not know though others do."""
    open_survives_unplugging: bool = False
    """Whether IsOpen stays 1 when the cable is pulled; EMU_IsConnected never does."""
    memory_cache: bool = False
    """Whether RAM is cached while CPU1 is halted, until SetEnableMemCache = 0 (hardware-review 3)."""
    unknown_answer: Literal["text", "code"] = "text"
    """How an unknown command string is answered: an error text and -1, or code 1 alone (hardware-review 5)."""
    clears_vector_catch: bool = False
    """Whether reset type 0 clears VC_CORERESET (hardware-review 9)."""


@dataclass(slots=True)
class Handle:
    """One open probe, with all that the library forgets when it is closed."""

    probe: SimulatedJLink
    link: Link
    port: DllDebugPort
    insertion: int
    device: Device | None = None
    tif: int = 0
    connected: bool = False
    flash_download: bool = True
    restart_on_close: bool = True
    cache: FlashCache = field(default_factory=FlashCache)
    memory: MemoryCache = field(default_factory=MemoryCache)
    caches_memory: bool = False
    pending: list[tuple[int, bytes, int]] | None = None
    """What was written since BeginDownload; None outside of a download."""
    reset_delay: float = 0.0
    reset_type: int = 0
    speed_khz: int = 0
    progress: Progress | None = None

    @property
    def alive(self) -> bool:
        """Whether the cable was in all the time."""
        return self.probe.plugged and self.probe.insertions == self.insertion


class DllSession:
    """One loaded J-Link library."""

    def __init__(self, desk: Desk, settings: Settings, say: Say) -> None:
        self.desk = desk
        self.settings = settings
        self.counters = Counters()
        self.say = say
        self.handle: Handle | None = None
        self._poisoned = False
        self._select: Selection = self._only_probe

    # Selecting and opening

    def is_open(self) -> bool:
        """Whether OpenEx succeeded and Close was not called."""
        handle = self.handle
        return handle is not None and (handle.alive or self.settings.open_survives_unplugging)

    def probe_connected(self) -> bool:
        """Whether the probe still answers on USB."""
        return self.handle is not None and self.handle.alive

    def target_connected(self) -> bool:
        """Whether Connect succeeded once: the library does not look again."""
        return self.handle is not None and self.handle.connected

    def select_serial(self, serial: int) -> None:
        """Select by USB; CallError when the probe does not exist."""
        self._refuse_poisoned()
        if self.desk.with_serial(serial) is None:
            raise CallError
        self._select = lambda: self.desk.with_serial(serial)

    def select_any(self) -> None:
        """Select whatever there is on USB."""
        self._refuse_poisoned()
        self._select = self._only_probe

    def select_ip(self, host: str) -> None:
        """Select by address or tunnel; CallError when nothing answers there."""
        self._refuse_poisoned()
        if self.desk.at(host) is None:
            raise CallError
        self._select = lambda: self.desk.at(host)

    def select_ip_serial(self, serial: int) -> None:
        """Select a probe in the network. It reports nothing; OpenEx will."""
        self._select = lambda: next((p for p in self.desk.usb() if p.serial == serial and p.ip is not None), None)

    def open(self) -> str | None:
        """Open the selected probe; return the reason why not."""
        if self.handle is not None and self.handle.alive:
            return None
        probe = None if self._poisoned else self._select()
        if probe is None or probe.busy:
            self.say("error", CANNOT_CONNECT)
            return CANNOT_CONNECT
        link = Link(probe.chip, self.settings.after_reset, self.counters, self.settings.timing)
        self.handle = Handle(probe, link, DllDebugPort(link), probe.insertions)
        probe.busy = True
        for line in (f"Firmware: {probe.firmware}", f"S/N: {probe.serial}"):
            self.say("detail", line)
        return None

    def close(self) -> None:
        """Let the probe go. A target that stood still runs again unless that was switched off."""
        handle, self.handle = self.handle, None
        if handle is None or not handle.alive:
            return
        handle.probe.busy = False
        chip = handle.probe.chip
        if handle.connected and handle.restart_on_close and chip.target_present and chip.is_halted:
            chip.resume()

    def before_command(self) -> None:
        """Note that a command string arrives; before OpenEx, newer libraries then find no probe any more."""
        if self.handle is None and self.settings.version >= STRICT_VERSION:
            self._poisoned = True

    def _refuse_poisoned(self) -> None:
        if self._poisoned:
            raise CallError

    def _only_probe(self) -> SimulatedJLink | None:
        probes = self.desk.usb()
        if len(probes) > 1:
            # Which of them is asked in a dialog, and a dialog cannot be shown here.
            self.say("warning", "JLinkGUIServerExe: cannot connect to X server")
        if len(probes) == 1:
            return probes[0]
        return None

    # Probe and target

    def opened(self) -> Handle:
        """Return the open probe; CallError when there is none, or none any more."""
        if self.handle is None:
            raise CallError(NOT_OPEN)
        if not self.handle.alive:
            raise CallError(LINK_LOST)
        return self.handle

    def target(self) -> Handle:
        """Return the probe whose target is connected; CallError when there is none."""
        handle = self.opened()
        if not handle.connected:
            raise CallError
        return handle

    def connect(self) -> None:
        """Attach to the chip; CallError with the library's code when that is not possible."""
        handle = self.opened()
        if handle.device is None:
            raise CallError(NO_DEVICE)
        if handle.probe.vtarget == 0:
            self.say("error", "VTarget too low: target has no power")
            raise CallError(NO_POWER)
        if handle.tif != SWD or not handle.probe.chip.target_present:
            self.say("error", "Could not connect to the target device.")
            raise CallError
        handle.link.settle()
        handle.cache.invalidate()
        handle.memory.invalidate()
        handle.caches_memory = self.settings.memory_cache
        handle.connected = True
        self.say("log", f"Found {handle.device.name}, ID 0x6BA02477")

    def reset(self) -> None:
        """Reset the chip, CPU1 halted at its vector. The library connects again by itself."""
        handle = self.target()
        chip = handle.probe.chip
        if handle.reset_type not in RESETS:
            self.say("error", f"Reset failed: reset type {handle.reset_type} is not simulated")
            raise CallError(NOT_SUPPORTED)
        try:
            handle.link.touch()
        except CallError:
            self.say("error", "Reset failed: target does not answer")
            raise
        chip.reset(halt=True)
        chip.advance(handle.reset_delay)
        handle.link.settle()
        handle.memory.invalidate()
        if handle.reset_type == 0 and self.settings.clears_vector_catch:
            demcr = int.from_bytes(handle.link.read(DEMCR, 4, 4), "little")
            handle.link.write(DEMCR, (demcr & ~VC_CORERESET).to_bytes(4, "little"), 4)

    def hold_reset(self) -> None:
        """Pull the reset pin low: the chip stands, until the pin is released."""
        self.opened().probe.chip.hold_reset()

    def release_reset(self) -> None:
        """Let the reset pin go."""
        self.opened().probe.chip.release_reset()

    def halt(self) -> None:
        """Stop CPU1."""
        handle = self.target()
        handle.link.touch()
        handle.probe.chip.halt()

    def is_halted(self) -> bool:
        """Ask whether CPU1 stands."""
        handle = self.target()
        handle.link.touch()
        return handle.probe.chip.is_halted

    def go(self) -> None:
        """Let CPU1 run."""
        handle = self.target()
        handle.link.touch()
        handle.memory.invalidate()
        handle.probe.chip.resume()

    def read_register(self, number: int) -> int:
        """Read a register of CPU1; CallError while it runs."""
        self._transfer(number)
        data = self.target().link.read(DCRDR, 4, 4)
        if len(data) < 4:
            raise CallError
        return int.from_bytes(data, "little")

    def write_register(self, number: int, value: int) -> None:
        """Write a register of CPU1; CallError while it runs."""
        if self.target().link.write(DCRDR, value.to_bytes(4, "little"), 4) < 4:
            raise CallError
        self._transfer(number | REGWNR)

    def _transfer(self, request: int) -> None:
        """Let the core copy one of its registers to or from DCRDR: only one that stands does."""
        handle = self.target()
        if not self.is_halted():
            self.say("error", "CPU registers cannot be accessed while the CPU is running")
            raise CallError
        if handle.link.write(DCRSR, request.to_bytes(4, "little"), 4) < 4:
            raise CallError

    # Memory and flash

    def read(self, address: int, size: int, width: int) -> bytes:
        """Read memory, from the cache where the library has one."""
        handle = self.target()
        bank = self._bank(handle, address, size)
        if bank is None:
            return self._read_memory(handle, address, size, width)
        return handle.cache.read(bank, address, size, width, handle.link.read)

    def _read_memory(self, handle: Handle, address: int, size: int, width: int) -> bytes:
        """Read from the cache of RAM while CPU1 stands; that it ran between two reads is not noticed."""
        if handle.caches_memory and handle.probe.chip.is_halted:
            return handle.memory.read(address, size, width, handle.link.read)
        handle.memory.invalidate()
        return handle.link.read(address, size, width)

    def write(self, address: int, data: bytes, width: int) -> int:
        """Write memory; in a flash bank, program it instead. Return how many bytes were written."""
        handle = self.target()
        if handle.pending is not None:
            handle.pending.append((address, data, width))
            return len(data)
        return self._write_now(handle, address, data, width)

    def begin_download(self) -> None:
        """Collect what is written from here on."""
        self.target().pending = []

    def end_download(self) -> int:
        """Write what was collected, and return how many bytes that was."""
        handle = self.target()
        pending, handle.pending = handle.pending or [], None
        if handle.progress:
            for action in (b"Compare", b"Erase", b"Flash", b"Verify"):
                handle.progress(action, b"", 100)
        return sum(self._write_now(handle, *write) for write in pending)

    def erase_chip(self) -> int:
        """Erase every flash bank; CallError where there is none."""
        handle = self.target()
        if handle.device is None or not handle.device.banks:
            raise CallError(NOT_SUPPORTED)
        self._refuse_fus(handle)
        handle.link.touch()
        for bank in handle.device.banks:
            erase_bank(handle.probe.chip, bank)
        handle.cache.invalidate()
        return 0

    def _write_now(self, handle: Handle, address: int, data: bytes, width: int) -> int:
        handle.memory.invalidate()
        bank = self._bank(handle, address, len(data))
        if bank is None:
            return handle.link.write(address, data, width)
        self._refuse_fus(handle)
        handle.link.touch()
        handle.cache.invalidate()
        programmed = program(handle.probe.chip, bank, address, data)
        done = "Skipped. Contents already match"
        if programmed:
            done = f"{programmed} bytes programmed"
        self.say("log", f"J-Link: Flash download: Bank 0 @ 0x{bank.address:08X}: {done}")
        return len(data)

    def _refuse_fus(self, handle: Handle) -> None:
        if handle.device is not None and handle.device.runs_fus:
            self.say("error", f"{handle.device.name}: what this device does with FUS is not simulated")
            raise CallError(NOT_SUPPORTED)

    def _bank(self, handle: Handle, address: int, size: int) -> Bank | None:
        """Return the flash bank that the library takes this access to be its own business in."""
        if handle.device is None or not handle.flash_download:
            return None
        banks = handle.device.banks
        return next((bank for bank in banks if bank.address <= address and address + size <= bank.end), None)
