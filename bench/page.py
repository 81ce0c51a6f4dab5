"""What benchmarks put into docs/performance.md: each a part between marks of its own. Its plots stand beside it (plot.py draws them)."""
import sys

from measure import ROOT

PAGE = ROOT / "docs/performance.md"
PLOTS = ROOT / "docs/plots"


def replace(tool, text):
    """Replaces what stands between the tool's marks; all else on the page stays."""
    begin, end = f"<!-- measured by {tool} -->", f"<!-- end of what {tool} measured -->"
    page = PAGE.read_text()
    if begin not in page or end not in page:
        sys.exit(f"{PAGE} has no place marked {begin} … {end}")
    head, rest = page.split(begin, 1)
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}")
