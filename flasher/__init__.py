"""flasher: bring an STM32WB from whatever it has to what a verified bundle holds, over a J-Link."""
