"""The simulated chip: its memory map as a debugger's accesses meet it, its resets and its power.

Sources: CMSIS stm32wb55xx.h and stm32wb15xx.h (map, registers), RM0434 (identification), psdb and field reports
(what survives a reset).
"""

from dataclasses import dataclass

from flasher.sim import nvm
from flasher.sim.application import SimulatedApplication
from flasher.sim.behaviour import Behaviour
from flasher.sim.cpu1 import REGISTERS as DEBUG_REGISTERS
from flasher.sim.cpu1 import Cpu1
from flasher.sim.cpu2 import SimulatedCpu2
from flasher.sim.errors import AccessError
from flasher.sim.flash import SimulatedFlash
from flasher.sim.flash_registers import CR, LINE_SECONDS, OPTSTRT, STRT
from flasher.sim.fus import SimulatedFus
from flasher.sim.identity import FactoryConstants
from flasher.sim.image import ST_KEYS
from flasher.sim.ipcc import Ipcc
from flasher.sim.memory import ChipClock, Ram
from flasher.sim.option_bytes import RDP_LEVEL_0, RDP_LEVEL_2, OptionByteRegisters
from flasher.sim.parts import FLASH_BASE, SRAM2A_BASE, SRAM2B_BASE, Part
from flasher.sim.registers import CSR_BOR, CSR_OBL, CSR_PIN, CSR_SOFTWARE, FLASH_REGISTERS, Registers
from flasher.sim.secret import Secret

FUS_1_2_0 = 0x0102_0000


@dataclass(slots=True)
class ChipState:
    """What belongs to no single unit.

    `held`: the reset pin is held low. `quiet_until`: when accesses work again after a reset; seconds.
    """

    powered: bool = True
    held: bool = False
    epoch: int = 0
    quiet_until: float = 0.0
    rdp: int = RDP_LEVEL_0


class SimulatedChip:
    """One STM32WB, with CPU2 and FUS inside.

    `keys` are uncompressed points (hex) under which FUS believes images, ST's by default; `accepted` are SHA-256s of
    images signed in the scheme of FUS 0.5.3 and 1.0.x, which only ST can verify.
    """

    def __init__(
        self,
        part: Part,
        *,
        fus_version: int = FUS_1_2_0,
        behaviour: Behaviour | None = None,
        keys: tuple[str, ...] | None = None,
        accepted: tuple[str, ...] = (),
        serial: int = 0x0065_8473,
    ) -> None:
        self.part = part
        self.behaviour = behaviour or Behaviour()
        self.faults: tuple[str, ...] = ()  # armed on the board; the chip itself makes nothing of them
        self.state = ChipState()
        self.time = ChipClock()
        self.options = OptionByteRegisters(part)
        self.ram = Ram(part)
        self.flash = SimulatedFlash(part, self.behaviour, self.time, self.options)
        self.ipcc = Ipcc()
        self.identity = FactoryConstants(part, serial)
        self.cpu1 = Cpu1(self.behaviour, self.time, self.ram, self.flash, self.options)
        keys = ST_KEYS[part.series] if keys is None else keys
        secret = Secret(fus_version=fus_version)
        self.fus = SimulatedFus(part, self.behaviour, self.time, self.flash, self.options, secret, keys, accepted)
        self.cpu2 = SimulatedCpu2(self.fus, self.ram, self.ipcc, self.identity.uid64)
        self.registers = Registers(self.behaviour, self.flash, self.ipcc, self.cpu1, self.cpu2, self.identity)
        self.application = SimulatedApplication(self.cpu1, self.registers, self.ram)
        self.fus.installer.select_fus()
        self.options.load()
        self._reset(CSR_BOR | CSR_PIN, halt=False, by_itself=True, power=True)

    # --- what a J-Link library sees

    @property
    def clock(self) -> float:
        """Simulated time in seconds since the board was made."""
        return self.time.now

    @property
    def epoch(self) -> int:
        """How many resets the chip has had, its own included."""
        return self.state.epoch

    @property
    def power_ups(self) -> int:
        """How many times the chip got power."""
        return self.ram.state.power_ups

    @property
    def is_halted(self) -> bool:
        """Whether CPU1 is halted."""
        return self.cpu1.state.halted

    @property
    def target_present(self) -> bool:
        """Whether the debug port answers: not without power, and never again at RDP level 2."""
        return self.state.powered and self.state.rdp != RDP_LEVEL_2

    def halt(self) -> None:
        """Halt CPU1."""
        self.cpu1.halt()

    def resume(self) -> None:
        """Let CPU1 run."""
        self.cpu1.resume()

    def read(self, address: int, size: int, width: int) -> bytes:
        """Read `size` bytes in accesses of `width` bytes. Raises AccessError where the bus does not answer."""
        self._enter(address, size, width)
        if FLASH_BASE <= address < self.part.die_end:
            return self._read_flash(address, size)
        if self.ram.find(address, size) is not None:
            return self._read_ram(address, size)
        return self._read_words(address, size)

    def write(self, address: int, data: bytes, width: int) -> None:
        """Write in accesses of `width` bytes. Raises AccessError where the bus does not answer."""
        self._enter(address, len(data), width)
        if FLASH_BASE <= address < self.part.die_end:
            self._write_flash(address, data, width)
        elif self.ram.find(address, len(data)) is not None:
            if self._is_open_ram(address, len(data)):
                self.ram.write(address, data)
        elif width != 4:
            raise AccessError(address, "registers take 32-bit writes only")
        else:
            for at in range(0, len(data), 4):
                self._write_register(address + at, int.from_bytes(data[at : at + 4], "little"))
                self._after_access()

    def reset(self, halt: bool) -> None:
        """System reset by the debugger or the pin; with `halt` CPU1 stops at its reset vector."""
        self.state.held = False
        if self.state.powered:
            self._reset(CSR_PIN, halt=halt, by_itself=False)

    def hold_reset(self) -> None:
        """Pull the reset pin low: the chip is reset, and nothing in it moves until the pin is let go."""
        self.reset(halt=False)
        self.state.held = True

    def release_reset(self) -> None:
        """Let the reset pin go: CPU1 boots."""
        if self.state.held:
            self.reset(halt=False)

    def power_off(self) -> None:
        """Take the power away."""
        if self.state.powered:
            self.flash.interrupt(power_lost=True)
            self.cpu2.hold(by_itself=False)
            self.state.powered = False

    def power_on(self) -> None:
        """Give power: option bytes are loaded, RAM is noise, CPU1 boots."""
        if not self.state.powered:
            self.state.powered = True
            self.ram.power_up()
            self._load_options()
            self._reset(CSR_BOR | CSR_PIN, halt=False, by_itself=True, power=True)

    def power_cycle(self) -> None:
        """Power off and on."""
        self.power_off()
        self.advance(0.1)
        self.power_on()

    def advance(self, seconds: float) -> None:
        """Let simulated time pass; whatever falls due in it happens, in its order."""
        end = self.time.now + seconds
        while self.state.powered and not self.state.held and (due := self._next_due()) is not None and due <= end:
            self.time.now = max(self.time.now, due)
            self.flash.step()
            self.application.step()
            if (due := self.cpu2.due) is not None and due <= self.time.now:
                self.cpu2.step()
            self._after_access()
        self.time.now = max(self.time.now, end)

    def _next_due(self) -> float | None:
        times = (self.flash.due, self.cpu2.due, self.cpu1.state.step_due)
        return min((time for time in times if time is not None), default=None)

    # --- accesses

    def _enter(self, address: int, size: int, width: int) -> None:
        if width not in (1, 2, 4) or address % width or size % width or size <= 0:
            raise AccessError(address, "unaligned")
        self.advance(self.behaviour.access_seconds + self.behaviour.word_seconds * size / 4)
        if not self.target_present:
            raise AccessError(address, "no power")
        # Only the debug unit is outside of system reset (Arm v7-M), which is what connecting under reset lives on.
        if self.state.held and address not in DEBUG_REGISTERS:
            raise AccessError(address, "the chip is held in reset")
        if self.time.now < self.state.quiet_until:
            raise AccessError(address, "the chip is in reset")
        running = self.cpu2.state.running
        works = running.startswith("nvm-") or (running == "fus" and self.fus.works_on_flash)
        works = works and self.cpu2.state.is_up
        self.flash.cpu2_works = works and self.behaviour.fus_flash_work == "shown"

    def _write_register(self, address: int, value: int) -> None:
        if address == FLASH_REGISTERS + CR and value & (STRT | OPTSTRT) and self.behaviour.write_while_busy == "stall":
            self._wait_for_flash(address)
        self.registers.write(address, value)

    def _wait_for_flash(self, address: int) -> None:
        """The bus waits while the flash is busy; a reset meanwhile ends the access."""
        epoch = self.state.epoch
        while (due := self.flash.due) is not None:
            self.advance(max(due - self.time.now, 0.0))
        if self.state.epoch != epoch:
            raise AccessError(address, "the chip was reset")

    def _read_flash(self, address: int, size: int) -> bytes:
        if self.state.rdp != RDP_LEVEL_0:
            raise AccessError(address, "read protection")
        self._wait_for_flash(address)
        secure = self.options.secure_start
        end = address + size
        if end > self.part.die_end:
            raise AccessError(address, "no memory")
        if secure is not None and end > secure:
            if self.behaviour.secure_read == "error":
                raise AccessError(address, "secure flash")
            open_size = max(secure - address, 0)
            return self.flash.read_cells(address, open_size) + bytes(size - open_size)
        if end > self.part.nominal_end and self.behaviour.beyond_nominal == "error":
            raise AccessError(address, "beyond the flash of this part")
        return self.flash.read_as_cpu1(address, size)

    def _write_flash(self, address: int, data: bytes, width: int) -> None:
        if self.state.rdp != RDP_LEVEL_0 or address + len(data) > self.part.die_end:
            raise AccessError(address, "read protection" if self.state.rdp != RDP_LEVEL_0 else "no memory")
        stalls = self.behaviour.write_while_busy == "stall"
        if stalls:
            self._wait_for_flash(address)
        if width == 4 and self.flash.program_block(address, data):
            self.advance(LINE_SECONDS * (len(data) // 8 - 1))
            return
        for at in range(0, len(data), width):
            if stalls:
                self._wait_for_flash(address + at)
            elif self.flash.due is not None:
                self.flash.refuse_sequence()
                return
            self.flash.program(address + at, data[at : at + width], width)

    def _is_open_ram(self, address: int, size: int) -> bool:
        """Whether CPU1 may use this RAM; where it may not, an error or (reads as zeros) nothing at all."""
        sram2a, sram2b = self.options.open_sram2_kib()
        limits = {SRAM2A_BASE: sram2a * 1024, SRAM2B_BASE: sram2b * 1024}
        base = self.ram.find(address, size)
        if base in limits and self.state.rdp != RDP_LEVEL_0 and self.behaviour.level_1_sram2 == "error":
            raise AccessError(address, "read protection")
        if base not in limits or address + size <= base + limits[base]:
            return True
        if self.behaviour.secure_read == "error":
            raise AccessError(address, "secure SRAM2")
        return False

    def _read_ram(self, address: int, size: int) -> bytes:
        if self._is_open_ram(address, size):
            return self.ram.read(address, size)
        return bytes(size)

    def _read_words(self, address: int, size: int) -> bytes:
        """Read option bytes, identification and registers; narrow reads give a part of the word."""
        option_end = self.part.option_base + 128
        if self.part.option_base <= address and address + size <= option_end:
            at = address - self.part.option_base
            return self.options.area()[at : at + size]
        first = address & ~3
        words = (self.registers.read(word) for word in range(first, address + size, 4))
        content = b"".join(word.to_bytes(4, "little") for word in words)
        return content[address - first : address - first + size]

    # --- resets

    def _after_access(self) -> None:
        """Carry out the resets that an access or the passing of time has asked for."""
        if self.registers.c2boot_rose:
            self.registers.c2boot_rose = False
            self.cpu2.start()
        wanted, self.flash.wants_reset = self.flash.wants_reset, ""
        if self.fus.wants_reset:
            self.fus.wants_reset = False
            if self.behaviour.vector_catch == "cleared":
                self.cpu1.forget_vector_catch()
            self._load_options()
            self._reset(CSR_OBL | CSR_PIN, halt=False, by_itself=True)
        elif wanted == "options":
            self.cpu2.hold(by_itself=False)
            self._load_options()
            self._reset(CSR_OBL | CSR_PIN, halt=False, by_itself=False, options=True)
        elif wanted or self.cpu1.wants_reset:
            self.cpu1.wants_reset = False
            self._reset(CSR_SOFTWARE | CSR_PIN, halt=False, by_itself=False)

    def _load_options(self) -> None:
        """Load the option bytes; going back to RDP level 0 erases the user's flash (ST; a field script does so)."""
        if self.behaviour.ese_clear == "ignored":
            self.options.set_by_cpu2(ESE=1)
        self.flash.options_loaded(good=self.options.load())
        old, new = self.state.rdp, self.options.get("RDP")
        if old not in (RDP_LEVEL_0, RDP_LEVEL_2) and new == RDP_LEVEL_0:
            secure = self.options.secure_start
            end = min(self.part.die_end if secure is None else secure, self.part.die_end)
            self.flash.erase_cells(FLASH_BASE, end - FLASH_BASE)
            nvm.destroy(self.fus.secret)  # assume lost (fus2-nvm 4)
        if old != RDP_LEVEL_2:
            self.state.rdp = new

    def _reset(self, flags: int, *, halt: bool, by_itself: bool, options: bool = False, power: bool = False) -> None:
        self.state.epoch += 1
        self.flash.interrupt(power_lost=power)
        self.flash.options_loaded(good=not self.options.state.damaged)
        self.cpu2.hold(by_itself=by_itself)
        self.ipcc.reset()
        if not power and not self.options.get("SRAM2RST"):
            self.ram.erase_sram2()
        self.registers.reset(flags, power=power)
        self.cpu1.reset(halt=halt, debug_lost=power or (options and self.behaviour.obl_ends_debug))
        if options or self.behaviour.during_reset == "fails":
            self.state.quiet_until = 0.0 if power or halt else self.time.now + self.behaviour.reset_seconds
