"""The host's side of the wall: proxies for the student's objects, gradients across it, validation of every reply."""
