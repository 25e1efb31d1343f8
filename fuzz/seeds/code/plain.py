def f(x: int) -> str:
    """doc <b>"""
    return f"{x!r:>{3}}" + r"\d"  # <script>
@d
class A(B): pass
