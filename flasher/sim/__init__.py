"""A simulated STM32WB with FUS, and a J-Link library in front of it: written from documents, never from the driver.

It refuses what a chip refuses and breaks where a chip breaks. Nothing here imports imagekit or the rest of flasher.
`chip.SimulatedChip` is the chip, `dll.SimulatedDll` the library that the real pylink runs on, `board` keeps a chip in a
file.
"""
