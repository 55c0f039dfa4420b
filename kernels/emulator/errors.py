"""What the emulator raises when a kernel is wrong."""


class EmulatorError(RuntimeError):
    """A kernel could not be compiled, found, or run to its end."""
