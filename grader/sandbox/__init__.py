"""Where student code runs: the protocol (``base``), the backends, and which one a run uses (``select``)."""
