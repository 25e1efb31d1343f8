"""What people look at: the feedback page of each student, the report on the class, its marks and its leaderboard.

Made from records alone: nothing here runs student code, opens a notebook or reads a course, so that every page can be
made again at any time.
"""

from __future__ import annotations

from grader.reports.class_report import class_report
from grader.reports.feedback import FeedbackPolicy, Shown, feedback_page, shown
from grader.reports.files import write_class_report, write_feedback, write_leaderboard, write_marks
from grader.reports.leaderboard import leaderboard
from grader.reports.marks import marks_csv

__all__ = [
    "FeedbackPolicy",
    "Shown",
    "class_report",
    "feedback_page",
    "leaderboard",
    "marks_csv",
    "shown",
    "write_class_report",
    "write_feedback",
    "write_leaderboard",
    "write_marks",
]
