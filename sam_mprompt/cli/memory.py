"""Which errors mean that the memory was not enough."""

_SAID = ("allocate memory", "Insufficient memory", "out of memory", "Storage size calculation overflowed")


def memory_fault(error: BaseException) -> bool:
    """Whether an error means that there was too little memory; torch and OpenCV have no kind of their own for it."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _SAID)
