"""A simulated STM32WB with FUS, written from the documents and field reports, never from the driver.

It refuses what a chip refuses and breaks where a chip breaks. Nothing here imports imagekit or the rest of flasher.
"""
