"""The simulated chip's room: a chip, a J-Link library in front of it. Written from documents, never from the driver."""
