"""The only code that runs inside the sandbox. Imports nothing of ``grader``; the host imports ``wire`` and ``peer``."""
