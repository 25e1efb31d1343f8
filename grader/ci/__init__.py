"""Marking pull requests: what a change hands in, and how its marks are told.

Theory of operation. Everything in a pull request is untrusted: bytes, paths, modes, messages, dates, the workflow that
it brings. Nothing of it is ever checked out, imported or executed outside the sandbox. It is read as git objects
(``repository``), or on GitHub as a ZIP archive of blobs that an unprivileged job packed (``pack``, ``bundle``), each of
which must hash to a blob that the forge says is in the head commit. Which pull request, whose, and when it came in are
the forge's words (``github``, ``gitlab``, ``gitea``), never the bundle's. ``selection`` decides what of it counts as
handed in; the course, its checks and its settings come from the instructor's side only. What goes back is built from
what the feedback policy allows and from nothing else (``report``), and every character that came from a submission
passes ``inert`` first.

Not defended: a student can always withhold their own submission, by a workflow that packs nothing; that is told, and
nothing is marked. Whoever may write to the repository that holds the workflow and its secrets is trusted.
"""
