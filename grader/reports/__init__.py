"""What people look at: the feedback page of each student and the report on the class.

Made from records alone: nothing here runs student code, opens a notebook or reads a course, so that every page can be
made again at any time.
"""

from __future__ import annotations

from grader.reports.class_report import class_report
from grader.reports.feedback import FeedbackPolicy, Shown, feedback_page, shown
from grader.reports.files import write_class_report, write_feedback

__all__ = [
    "FeedbackPolicy",
    "Shown",
    "class_report",
    "feedback_page",
    "shown",
    "write_class_report",
    "write_feedback",
]
