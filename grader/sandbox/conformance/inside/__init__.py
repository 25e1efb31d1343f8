"""What runs inside guests under the conformance suite: this folder is the ``worker_folder``."""
